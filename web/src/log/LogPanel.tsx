import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react';
import { useLocation, useNavigate, useSearchParams } from 'react-router';
import type { JobDetail } from '../api/types.ts';
import { LogFollower } from './follow.ts';
import styles from './Log.module.css';
import { LogLines, type LogLinesHandle } from './LogLines.tsx';
import { LogStatus } from './LogStatus.tsx';
import { LogToolbar } from './LogToolbar.tsx';
import { NoLines } from './NoLines.tsx';
import { readView, saveView } from './preferences.ts';
import { type Lines, linesHash, parseLines } from './selection.ts';
import { useLogSearch } from './useLogSearch.ts';

export function LogPanel({ job }: { job: JobDetail }) {
  const [search, setSearch] = useSearchParams();
  const asked = Number(search.get('fence'));
  const fence = Number.isInteger(asked) && asked > 0 && asked < job.fence ? asked : null;
  const setFence = (next: number | null) =>
    setSearch(
      (now) => {
        if (next === null) now.delete('fence');
        else now.set('fence', String(next));
        return now;
      },
      { replace: true },
    );
  return <Log key={fence} job={job} fence={fence} onFence={setFence} />;
}

interface Props {
  job: JobDetail;
  fence: number | null;
  onFence: (fence: number | null) => void;
}

function Log({ job, fence, onFence }: Props) {
  const follower = useMemo(() => new LogFollower(job.id, fence), [job.id, fence]);
  useEffect(() => follower.start(), [follower]);
  const log = useSyncExternalStore(follower.subscribe, follower.snapshot);
  const [view, setView] = useState(readView);
  const [following, setFollowing] = useState(true);
  const [text, setText] = useState('');
  const found = useLogSearch(log.buffer, log.count, text.trim());
  const lines = useRef<LogLinesHandle>(null);
  const [selected, select] = useSelectedLines();

  const { current } = found;
  useEffect(() => {
    if (current !== null) lines.current?.showLine(current);
  }, [current]);

  const isEmpty = log.count === 0;
  return (
    <div className={styles.panel}>
      <LogToolbar
        job={job}
        log={log}
        fence={fence}
        onFence={onFence}
        text={text}
        onText={setText}
        found={found}
        onFind={(step) => found.move(step, lines.current?.firstLine() ?? 0)}
        view={view}
        onView={(next) => {
          saveView(next);
          setView(next);
        }}
      />
      {isEmpty ? (
        <NoLines job={job} state={log.state} reason={log.reason} />
      ) : (
        <LogLines
          ref={lines}
          log={log}
          view={view}
          needle={found.needle}
          foundLine={current}
          selected={selected}
          onSelect={select}
          following={following}
          onFollowing={setFollowing}
        />
      )}
      <LogStatus job={job} log={log} selected={selected} onUnselect={() => select(null)} />
    </div>
  );
}

// The selected lines are in the page's address, so that they can be sent to a colleague.
function useSelectedLines(): [Lines | null, (lines: Lines | null) => void] {
  const location = useLocation();
  const navigate = useNavigate();
  const selected = useMemo(() => parseLines(location.hash), [location.hash]);
  const select = (lines: Lines | null) =>
    navigate(
      { pathname: location.pathname, search: location.search, hash: lines ? linesHash(lines) : '' },
      { replace: true },
    );
  return [selected, select];
}
