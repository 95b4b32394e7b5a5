// The filter and the order of the cache's entries. They live in the page's address with the API's own
// names. Pure.

export const SORTS = ['used', 'unused', 'newest', 'oldest', 'largest', 'smallest'] as const;
export type Sort = (typeof SORTS)[number];

export const SORT_WORDS: Record<Sort, string> = {
  used: 'Latest use first',
  unused: 'Longest unused first',
  newest: 'Newest first',
  oldest: 'Oldest first',
  largest: 'Largest first',
  smallest: 'Smallest first',
};

export interface EntryFilter {
  org: string;
  repo: string | null; // "": what is the whole org's
  key: string; // prefix
  sort: Sort;
}

export const ANY_ENTRY: EntryFilter = { org: '', repo: null, key: '', sort: 'used' };

const isSort = (text: string | null): text is Sort =>
  (SORTS as readonly (string | null)[]).includes(text);

export function entryFilterFromSearch(search: URLSearchParams): EntryFilter {
  const sort = search.get('sort');
  return {
    org: search.get('org') ?? '',
    repo: search.get('repo'),
    key: search.get('key') ?? '',
    sort: isSort(sort) ? sort : ANY_ENTRY.sort,
  };
}

export function searchFromEntryFilter(filter: EntryFilter): URLSearchParams {
  const search = new URLSearchParams();
  if (filter.org) search.set('org', filter.org);
  if (filter.repo !== null) search.set('repo', filter.repo);
  if (filter.key) search.set('key', filter.key);
  search.set('sort', filter.sort);
  return search;
}

export const narrows = (filter: EntryFilter): boolean =>
  filter.org !== '' || filter.repo !== null || filter.key !== '';

// "job-12" → 12
export function jobOf(writer: string): number | null {
  const id = /^job-([1-9]\d*)$/.exec(writer)?.[1];
  return id === undefined ? null : Number(id);
}

// acme/app, or acme/* for what is the whole org's
export const repoName = (org: string, repo: string): string => `${org}/${repo || '*'}`;
