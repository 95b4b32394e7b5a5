import { useEffect, useMemo, useState } from 'react';
import type { LogBuffer } from './buffer.ts';
import { LogSearch, MATCHES_MAX } from './search.ts';

export interface Found {
  needle: string; // lower case
  total: number; // lines that match
  isCapped: boolean; // there may be more
  position: number; // of the current one, from 1; 0: none
  current: number | null; // its line index
  move: (step: 1 | -1, fromLine: number) => void;
}

export function useLogSearch(buffer: LogBuffer, count: number, text: string): Found {
  const search = useMemo(() => new LogSearch(buffer, text), [buffer, text]);
  const [, redraw] = useState(0);
  // The line, so that a longer word that is still found there stays there.
  const [line, setLine] = useState<number | null>(null);

  // biome-ignore lint/correctness/useExhaustiveDependencies: new lines are looked at when count grows
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const work = () => {
      const before = search.matches.length;
      if (search.step()) timer = setTimeout(work, 0);
      if (search.matches.length !== before) redraw((now) => now + 1);
    };
    work();
    return () => clearTimeout(timer);
  }, [search, count]);

  const total = search.matches.length;
  const at = line === null ? -1 : search.indexOf(line);
  const move = (step: 1 | -1, fromLine: number) => {
    if (total === 0) return;
    const next = at < 0 ? search.nearest(fromLine) : (at + step + total) % total;
    setLine(search.matches[next] ?? null);
  };
  return {
    needle: search.needle,
    total,
    isCapped: total >= MATCHES_MAX,
    position: at + 1,
    current: at < 0 ? null : line,
    move,
  };
}
