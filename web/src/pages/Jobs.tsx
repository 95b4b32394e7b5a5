import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useSearchParams } from 'react-router';
import { jobsQuery } from '../api/queries.ts';
import { Command } from '../components/Command.tsx';
import { EmptyState } from '../components/EmptyState.tsx';
import { ErrorState } from '../components/ErrorState.tsx';
import { Loading } from '../components/Loading.tsx';
import { useTitle } from '../components/useTitle.ts';
import { FilterBar } from '../jobs/FilterBar.tsx';
import {
  filterFromSearch,
  isEmptyFilter,
  type JobFilter,
  searchFromFilter,
} from '../jobs/filter.ts';
import { JobTable } from '../jobs/JobTable.tsx';
import styles from './Jobs.module.css';

export function Jobs() {
  useTitle('Jobs');
  const [search, setSearch] = useSearchParams();
  const filter = useMemo(() => filterFromSearch(search), [search]);
  const setFilter = (next: JobFilter) => setSearch(searchFromFilter(next));
  const jobs = useInfiniteQuery({ ...jobsQuery(filter), placeholderData: keepPreviousData });
  const items = useMemo(() => jobs.data?.pages.flatMap((page) => page.items) ?? [], [jobs.data]);
  return (
    <div className={styles.page}>
      <h1 className="visually-hidden">Jobs</h1>
      <FilterBar
        filter={filter}
        onChange={setFilter}
        shown={items.length}
        more={jobs.hasNextPage}
      />
      {jobs.isPending && <Loading what="the jobs" />}
      {jobs.isError && !jobs.data && (
        <ErrorState error={jobs.error} doing="reading the jobs" onRetry={() => jobs.refetch()} />
      )}
      {jobs.data && items.length === 0 && (
        <Nothing
          filter={filter}
          onClear={() => setFilter(filterFromSearch(new URLSearchParams()))}
        />
      )}
      {items.length > 0 && (
        <JobTable
          // Another filter is another list: it begins at its top.
          key={searchFromFilter(filter).toString()}
          jobs={items}
          hasMore={jobs.hasNextPage}
          isLoadingMore={jobs.isFetchingNextPage}
          loadError={jobs.isFetchNextPageError ? jobs.error : null}
          onLoadMore={jobs.fetchNextPage}
          stale={jobs.isPlaceholderData}
        />
      )}
    </div>
  );
}

function Nothing({ filter, onClear }: { filter: JobFilter; onClear: () => void }) {
  if (!isEmptyFilter(filter)) {
    return (
      <EmptyState title="No job matches these filters">
        <p className="muted">New jobs that match appear here by themselves.</p>
        <button type="button" className="button" onClick={onClear}>
          Show all jobs
        </button>
      </EmptyState>
    );
  }
  return (
    <EmptyState title="No jobs yet">
      <p className="muted">Run the first one; it appears here the moment it is queued.</p>
      <Command>nimbus run -- echo hello</Command>
      <p className="muted">
        Or let GitHub send jobs: add a webhook for “Workflow jobs” that points to /webhooks/github
        here, and write <code>runs-on: nimbus</code> in a workflow.
      </p>
    </EmptyState>
  );
}
