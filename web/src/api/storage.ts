// What the pages ask about what jobs store: caches, artifacts, images.

import {
  type InfiniteData,
  infiniteQueryOptions,
  type QueryKey,
  queryOptions,
} from '@tanstack/react-query';
import { type EntryFilter, searchFromEntryFilter } from '../cache/filter.ts';
import { get } from './client.ts';
import type {
  ArtifactList,
  CacheEntryList,
  CacheOrgUsageList,
  CacheUsageList,
  Repository,
  RepositoryList,
  RepositoryManifestList,
  RepositoryTagList,
  RepositoryUsageList,
} from './types.ts';

const PAGE = 100;
const PAGE_MAX = 1000;

interface Page {
  next_cursor: string | null;
}

// A list in pages. Small ones first, so that it is there at once.
function pages<List extends Page>(queryKey: QueryKey, path: string, query: URLSearchParams) {
  return infiniteQueryOptions<
    List,
    Error,
    InfiniteData<List, string | null>,
    QueryKey,
    string | null
  >({
    queryKey,
    queryFn: ({ pageParam, signal }) => {
      const search = new URLSearchParams(query);
      search.set('limit', String(pageParam ? PAGE_MAX : PAGE));
      if (pageParam) search.set('cursor', pageParam);
      return get<List>(`${path}?${search}`, { signal });
    },
    initialPageParam: null,
    getNextPageParam: (page) => page.next_cursor,
    gcTime: 60_000,
  });
}

const ofOrg = (org: string) => new URLSearchParams(org ? { org } : {});

export const cacheEntriesQuery = (filter: EntryFilter) =>
  pages<CacheEntryList>(
    ['cache', 'entries', filter],
    '/api/v1/caches',
    searchFromEntryFilter(filter),
  );

export const cacheOrgsQuery = queryOptions({
  queryKey: ['cache', 'orgs'],
  queryFn: ({ signal }) => get<CacheOrgUsageList>('/api/v1/caches/org-usage', { signal }),
});

export const cacheReposQuery = queryOptions({
  queryKey: ['cache', 'repos'],
  queryFn: ({ signal }) =>
    get<CacheUsageList>(`/api/v1/caches/usage?limit=${PAGE_MAX}`, { signal }),
});

export const cacheAuditQuery = queryOptions({
  queryKey: ['cache', 'audit'],
  queryFn: ({ signal }) => get<CacheEntryList>(`/api/v1/caches/audit?limit=${PAGE}`, { signal }),
});

export const repositoriesQuery = (org: string) =>
  pages<RepositoryList>(['registry', 'list', org], '/api/v1/repositories', ofOrg(org));

export const registryOrgsQuery = queryOptions({
  queryKey: ['registry', 'orgs'],
  queryFn: ({ signal }) => get<RepositoryUsageList>('/api/v1/repository-usage', { signal }),
});

export const repositoryPath = (name: string): string =>
  `/api/v1/repositories/${name.split('/').map(encodeURIComponent).join('/')}`;

export const repositoryQuery = (name: string) =>
  queryOptions({
    queryKey: ['registry', name, 'itself'],
    queryFn: ({ signal }) => get<Repository>(repositoryPath(name), { signal }),
  });

export const repositoryTagsQuery = (repository: string) =>
  pages<RepositoryTagList>(
    ['registry', repository, 'tags'],
    '/api/v1/repository-tags',
    new URLSearchParams({ repository }),
  );

export const repositoryManifestsQuery = (repository: string) =>
  pages<RepositoryManifestList>(
    ['registry', repository, 'manifests'],
    '/api/v1/repository-manifests',
    new URLSearchParams({ repository }),
  );

export const artifactsQuery = (org: string, repo: string, run: string) =>
  queryOptions({
    queryKey: ['artifacts', org, repo, run],
    queryFn: ({ signal }) =>
      get<ArtifactList>(
        `/api/v1/artifacts?${new URLSearchParams({ org, repo, run, limit: String(PAGE_MAX) })}`,
        { signal },
      ),
  });
