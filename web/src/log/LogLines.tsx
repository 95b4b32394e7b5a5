import {
  type MouseEvent,
  type Ref,
  useImperativeHandle,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from 'react';
import { Icon } from '../components/icons.tsx';
import { useRows } from '../components/useRows.ts';
import type { LogSnapshot } from './follow.ts';
import styles from './Log.module.css';
import { LogRow } from './LogRow.tsx';
import { LogLayout } from './layout.ts';
import type { LogViewOptions } from './preferences.ts';
import type { Lines } from './selection.ts';

export const LINE_HEIGHT = 19;
const TIME_COLUMNS = 14;

export interface LogLinesHandle {
  showLine: (index: number) => void;
  firstLine: () => number; // the first on screen
}

interface Props {
  ref: Ref<LogLinesHandle>;
  log: LogSnapshot;
  view: LogViewOptions;
  needle: string;
  foundLine: number | null;
  selected: Lines | null;
  onSelect: (lines: Lines) => void;
  following: boolean;
  onFollowing: (following: boolean) => void;
}

export function LogLines(props: Props) {
  const { log, view, selected, following, onFollowing } = props;
  const { buffer } = log;
  const scroller = useRef<HTMLElement>(null);
  const probe = useRef<HTMLSpanElement>(null);
  const digits = Math.max(3, String(buffer.lastSeq).length);
  const gutter = digits + 4 + (view.times ? TIME_COLUMNS : 0);
  const columns = useColumns(scroller, probe, gutter);
  const layout = useMemo(
    () => new LogLayout(buffer, view.wrap ? columns : 0),
    [buffer, view.wrap, columns],
  ).extend();
  const rows = useRows(scroller, layout.rows, LINE_HEIGHT, 12);
  const { scrollToRow, scrollToEnd } = rows;

  const showLine = (index: number) => {
    onFollowing(false);
    scrollToRow(layout.rowOfLine(index), 'center');
  };
  useImperativeHandle(props.ref, () => ({
    showLine,
    firstLine: () => layout.lineOfRow(Math.min(rows.first + 12, Math.max(0, rows.end - 1))).line,
  }));
  useFollowing(scroller, following, onFollowing, scrollToEnd, `${layout.rows} ${rows.pageRows}`);
  useFirstSelection(log, selected, showLine);

  const onClick = (event: MouseEvent) => {
    const number = (event.target as HTMLElement).closest<HTMLElement>('[data-number]');
    if (!number || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const seq = Number(number.dataset.number);
    const from = event.shiftKey && selected ? selected.from : seq;
    onFollowing(false);
    props.onSelect({ from: Math.min(from, seq), to: Math.max(from, seq) });
  };

  const drawn = [];
  for (let row = rows.first; row < rows.end; row += 1) {
    const { line, from } = layout.lineOfRow(row);
    const seq = buffer.seq(line);
    drawn.push(
      <LogRow
        key={row}
        text={buffer.text(line)}
        stream={buffer.stream(line)}
        seq={seq}
        time={view.times ? buffer.time(line) : null}
        from={from}
        length={layout.charsPerRow}
        width={buffer.width(line)}
        needle={props.needle}
        isFound={line === props.foundLine}
        isSelected={selected !== null && seq >= selected.from && seq <= selected.to}
      />,
    );
  }
  return (
    <div className={styles.frame}>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: line numbers are links, Enter clicks them */}
      <section
        ref={scroller}
        className={styles.scroller}
        aria-label="Log lines"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
        tabIndex={0}
        data-wrap={view.wrap}
        style={{ '--gutter': `${digits + 2}ch` } as React.CSSProperties}
        onClick={onClick}
      >
        <span ref={probe} className={styles.probe} aria-hidden="true">
          {'0'.repeat(100)}
        </span>
        <div className={styles.space} style={{ height: rows.scrollHeight }}>
          <div className={styles.window} style={{ transform: `translateY(${rows.top}px)` }}>
            {drawn}
          </div>
        </div>
      </section>
      {!following && (
        <button
          type="button"
          className={`button small ${styles.follow}`}
          onClick={() => onFollowing(true)}
        >
          <Icon name="bottom" /> {log.state === 'ended' ? 'To the end' : 'Follow'}
        </button>
      )}
    </div>
  );
}

// How many characters fit beside the gutter.
function useColumns(
  scroller: React.RefObject<HTMLElement | null>,
  probe: React.RefObject<HTMLElement | null>,
  gutter: number,
): number {
  const [fit, setFit] = useState(0);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const measure = () => {
      const charWidth = (probe.current?.getBoundingClientRect().width ?? 0) / 100;
      if (charWidth > 0) setFit(Math.floor(element.clientWidth / charWidth));
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [scroller, probe]);
  return Math.max(20, (fit || 120) - gutter);
}

// Follows the end until the reader scrolls up, and again from when the reader is back at the end.
function useFollowing(
  scroller: React.RefObject<HTMLElement | null>,
  following: boolean,
  onFollowing: (following: boolean) => void,
  scrollToEnd: () => void,
  size: string, // whatever moves the end
) {
  // biome-ignore lint/correctness/useExhaustiveDependencies: size says that the end has moved
  useLayoutEffect(() => {
    if (following) scrollToEnd();
  }, [following, scrollToEnd, size]);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    let lastTop = element.scrollTop;
    const onScroll = () => {
      const top = element.scrollTop;
      const isUp = top < lastTop - 1;
      const isAtEnd = element.scrollHeight - top - element.clientHeight < LINE_HEIGHT;
      lastTop = top;
      if (isUp && !isAtEnd) onFollowing(false);
      else if (!isUp && isAtEnd) onFollowing(true);
    };
    element.addEventListener('scroll', onScroll, { passive: true });
    return () => element.removeEventListener('scroll', onScroll);
  }, [scroller, onFollowing]);
}

// A page opened at a line goes there as soon as the line has been read.
function useFirstSelection(
  log: LogSnapshot,
  selected: Lines | null,
  showLine: (i: number) => void,
) {
  const wanted = useRef(selected);
  useLayoutEffect(() => {
    const lines = wanted.current;
    if (!lines) return;
    if (log.buffer.lastSeq < lines.from && log.state !== 'ended') return;
    wanted.current = null;
    showLine(Math.max(0, log.buffer.indexOfSeq(lines.from)));
  });
}
