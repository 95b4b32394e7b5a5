import { type RefObject, useLayoutEffect, useRef } from 'react';
import type { Job } from '../api/types.ts';
import rows from '../components/rows.module.css';
import { VirtualList } from '../components/VirtualList.tsx';
import { JobRow } from './JobRow.tsx';
import styles from './JobTable.module.css';
import { findJob } from './live.ts';

export const ROW_HEIGHT = 50;

interface Props {
  jobs: readonly Job[];
  hasMore: boolean;
  isLoadingMore: boolean;
  loadError: Error | null;
  onLoadMore: () => unknown;
  stale: boolean;
}

const idOf = (job: Job): number => job.id;

export function JobTable({ jobs, ...list }: Props) {
  const scroller = useRef<HTMLDivElement>(null);
  useSteadyScroll(scroller, jobs);
  return (
    <VirtualList
      label="Jobs, newest first"
      head={
        <div className={styles.columns}>
          <span>State</span>
          <span>Job</span>
          <span className={styles.wide}>Labels</span>
          <span className={rows.end}>Duration</span>
          <span className={rows.end}>Created</span>
        </div>
      }
      items={jobs}
      idOf={idOf}
      indexOf={(id) => findJob(jobs, Number(id))}
      rowHeight={ROW_HEIGHT}
      row={(job, place) => <JobRow key={job.id} job={job} {...place} />}
      scroller={scroller}
      {...list}
    />
  );
}

// New jobs come in at the top; a reader further down keeps the same rows before the eyes.
function useSteadyScroll(scroller: RefObject<HTMLDivElement | null>, jobs: readonly Job[]) {
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
