import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useSearchParams } from 'react-router';
import { cacheEntriesQuery, cacheReposQuery } from '../api/storage.ts';
import { Audit } from '../cache/Audit.tsx';
import styles from '../cache/Cache.module.css';
import { Usage } from '../cache/CacheUsage.tsx';
import { EntryFilterBar } from '../cache/EntryFilterBar.tsx';
import { EntryList } from '../cache/EntryList.tsx';
import {
  ANY_ENTRY,
  type EntryFilter,
  entryFilterFromSearch,
  narrows,
  SORT_WORDS,
  searchFromEntryFilter,
} from '../cache/filter.ts';
import { Command } from '../components/Command.tsx';
import { EmptyState } from '../components/EmptyState.tsx';
import { ErrorState } from '../components/ErrorState.tsx';
import { Loading } from '../components/Loading.tsx';
import { useTitle } from '../components/useTitle.ts';

export default function Cache() {
  useTitle('Cache');
  const [search, setSearch] = useSearchParams();
  const filter = useMemo(() => entryFilterFromSearch(search), [search]);
  const setFilter = (next: EntryFilter) => setSearch(searchFromEntryFilter(next));
  const query = useInfiniteQuery({
    ...cacheEntriesQuery(filter),
    placeholderData: keepPreviousData,
  });
  const repos = useQuery(cacheReposQuery);
  const entries = useMemo(
    () => query.data?.pages.flatMap((page) => page.items) ?? [],
    [query.data],
  );
  return (
    <div className={styles.page}>
      <h1 className="visually-hidden">Cache</h1>
      <EntryFilterBar
        filter={filter}
        repos={repos.data?.items ?? []}
        onChange={setFilter}
        shown={entries.length}
        more={query.hasNextPage}
      />
      <div className={styles.list}>
        {query.isPending && <Loading what="the cache’s entries" />}
        {query.isError && !query.data && (
          <ErrorState
            error={query.error}
            doing="reading the cache’s entries"
            onRetry={() => query.refetch()}
          />
        )}
        {query.data && entries.length === 0 && !query.hasNextPage && (
          <Nothing filter={filter} onClear={() => setFilter({ ...ANY_ENTRY, sort: filter.sort })} />
        )}
        {(entries.length > 0 || query.hasNextPage) && (
          <EntryList
            // Another filter is another list: it begins at its top.
            key={searchFromEntryFilter(filter).toString()}
            label={`Cache entries, ${SORT_WORDS[filter.sort].toLowerCase()}`}
            entries={entries}
            hasMore={query.hasNextPage}
            isLoadingMore={query.isFetchingNextPage}
            loadError={query.isFetchNextPageError ? query.error : null}
            onLoadMore={query.fetchNextPage}
            stale={query.isPlaceholderData}
          />
        )}
      </div>
      <aside className={styles.aside} aria-label="Usage and trust">
        <Usage filter={filter} />
        <Audit />
      </aside>
    </div>
  );
}

function Nothing({ filter, onClear }: { filter: EntryFilter; onClear: () => void }) {
  if (narrows(filter)) {
    return (
      <EmptyState title="No entry matches these filters">
        <button type="button" className="button" onClick={onClear}>
          Show all entries
        </button>
      </EmptyState>
    );
  }
  return (
    <EmptyState title="Nothing is cached yet">
      <p className="muted">
        Jobs that use <code>actions/cache</code>, Bazel, ccache or sccache fill the cache without
        further settings. A script in a job stores a file like this:
      </p>
      <Command>curl -T file "$NIMBUS_GATEWAY/cache/tools/file"</Command>
    </EmptyState>
  );
}
