import { type KeyboardEvent, useEffect, useLayoutEffect, useRef, useState } from 'react';
import type { Job } from '../api/types.ts';
import { useRows } from '../components/useRows.ts';
import { JobRow } from './JobRow.tsx';
import styles from './JobTable.module.css';
import { findJob } from './live.ts';

export const ROW_HEIGHT = 50;
// The next page is asked for when this many loaded rows are left below.
const ROWS_AHEAD = 50;

interface Props {
  jobs: readonly Job[];
  hasMore: boolean;
  isLoadingMore: boolean;
  loadError: Error | null;
  onLoadMore: () => unknown;
  stale: boolean;
}

export function JobTable({ jobs, hasMore, isLoadingMore, loadError, onLoadMore, stale }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useRows(scroller, jobs.length, ROW_HEIGHT);
  const { activeIndex, onKeyDown, onFocusJob } = useActiveRow(scroller, jobs, rows);
  useSteadyScroll(scroller, jobs);
  const wantsMore = hasMore && !isLoadingMore && !loadError && rows.end + ROWS_AHEAD > jobs.length;
  useEffect(() => {
    if (wantsMore) onLoadMore();
  }, [wantsMore, onLoadMore]);

  return (
    <div className={styles.table} aria-busy={stale}>
      <div className={`${styles.columns} ${styles.head}`} aria-hidden="true">
        <span>State</span>
        <span>Job</span>
        <span className={styles.wide}>Labels</span>
        <span className={styles.end}>Duration</span>
        <span className={styles.end}>Created</span>
      </div>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: arrow keys move between the links inside */}
      <div ref={scroller} className={styles.scroller} onKeyDown={onKeyDown}>
        <div className={styles.space} style={{ height: rows.scrollHeight + (hasMore ? 44 : 12) }}>
          <ol
            className={styles.window}
            style={{ transform: `translateY(${rows.top}px)` }}
            aria-label="Jobs, newest first"
          >
            {jobs.slice(rows.first, rows.end).map((job, offset) => (
              <JobRow
                key={job.id}
                job={job}
                position={rows.first + offset + 1}
                total={hasMore ? -1 : jobs.length}
                isActive={rows.first + offset === activeIndex}
                onFocus={onFocusJob}
              />
            ))}
          </ol>
          {hasMore && (
            <div className={styles.more}>
              {loadError ? (
                <button type="button" className="button small" onClick={onLoadMore}>
                  {loadError.message}. Try again
                </button>
              ) : (
                'Loading more…'
              )}
            </div>
          )}
        </div>
      </div>
    </div>
  );
}

// One row takes part in the Tab order; the arrow keys move it. It is remembered as a job, so that it
// stays put when new jobs push it down.
function useActiveRow(
  scroller: React.RefObject<HTMLDivElement | null>,
  jobs: readonly Job[],
  rows: ReturnType<typeof useRows>,
) {
  const [active, setActive] = useState<number | null>(null);
  const focusNext = useRef<number | null>(null);
  const known = active === null ? -1 : findJob(jobs, active);
  const visible = Math.min(jobs.length - 1, rows.first === 0 ? 0 : rows.first + 6);
  const isDrawn = known >= rows.first && known < rows.end;
  const activeIndex = isDrawn ? known : visible;

  useLayoutEffect(() => {
    if (focusNext.current === null) return;
    const link = scroller.current?.querySelector<HTMLElement>(`[data-job="${focusNext.current}"]`);
    if (!link) return; // drawn after the scroll
    focusNext.current = null;
    link.focus({ preventScroll: true });
  });
  const onKeyDown = (event: KeyboardEvent) => {
    const step = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: rows.pageRows,
      PageUp: -rows.pageRows,
      Home: -jobs.length,
      End: jobs.length,
    }[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(jobs.length - 1, activeIndex + step));
    const job = jobs[index];
    if (!job) return;
    setActive(job.id);
    focusNext.current = job.id;
    rows.scrollToRow(index);
  };
  return { activeIndex, onKeyDown, onFocusJob: setActive };
}

// New jobs come in at the top; a reader further down keeps the same rows before the eyes.
function useSteadyScroll(scroller: React.RefObject<HTMLDivElement | null>, jobs: readonly Job[]) {
  const topId = useRef<number | undefined>(undefined);
  useLayoutEffect(() => {
    const element = scroller.current;
    const before = topId.current;
    topId.current = jobs[0]?.id;
    if (!element || before === undefined || before === topId.current) return;
    const added = findJob(jobs, before);
    if (added > 0 && element.scrollTop > ROW_HEIGHT / 2) element.scrollTop += added * ROW_HEIGHT;
  }, [jobs, scroller]);
}
