// What the pages ask the server, and the keys under which the answers are kept.

import {
  type InfiniteData,
  infiniteQueryOptions,
  QueryClient,
  queryOptions,
} from '@tanstack/react-query';
import { type JobFilter, searchFromFilter } from '../jobs/filter.ts';
import { ApiError, get } from './client.ts';
import type {
  AgentList,
  EvalRunDetail,
  EvalRunList,
  Health,
  JobDetail,
  JobList,
  Session,
} from './types.ts';

// The first page is small, so that it is there at once; the ones that scrolling brings are large.
const JOBS_FIRST = 100;
const JOBS_MORE = 1000;

export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // The live feed keeps answers fresh; polling and refetching on focus would only repeat it.
        staleTime: 30_000,
        refetchOnWindowFocus: false,
        retry: (failures, error) =>
          error instanceof ApiError &&
          [0, 429, 502, 503, 504].includes(error.status) &&
          failures < 2,
      },
    },
  });
}

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: ({ signal }) => get<Session>('/api/v1/session', { signal }),
  staleTime: Number.POSITIVE_INFINITY,
  retry: false,
});

export const jobsPath = (filter: JobFilter, cursor: string | null): string => {
  const search = searchFromFilter(filter);
  search.set('limit', String(cursor ? JOBS_MORE : JOBS_FIRST));
  if (cursor) search.set('cursor', cursor);
  return `/api/v1/jobs?${search}`;
};

export const jobsQuery = (filter: JobFilter) =>
  infiniteQueryOptions<
    JobList,
    Error,
    InfiniteData<JobList, string | null>,
    readonly unknown[],
    string | null
  >({
    queryKey: ['jobs', filter],
    queryFn: ({ pageParam, signal }) => get<JobList>(jobsPath(filter, pageParam), { signal }),
    initialPageParam: null,
    getNextPageParam: (page) => page.next_cursor,
    // Refetching would walk every loaded page; events and mergeFirstPage keep the list right.
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
  });

export const jobQuery = (id: number) =>
  queryOptions({
    queryKey: ['job', id],
    queryFn: ({ signal }) => get<JobDetail>(`/api/v1/jobs/${id}`, { signal }),
  });

export const agentsQuery = queryOptions({
  queryKey: ['agents'],
  queryFn: ({ signal }) => get<AgentList>('/api/v1/agents?limit=1000', { signal }),
});

export const healthQuery = queryOptions({
  queryKey: ['health'],
  // 503 is the answer "unavailable", with its parts.
  queryFn: ({ signal }) => get<Health>('/readyz', { signal, accept: [503] }),
  refetchInterval: 15_000,
});

export const evalRunsQuery = queryOptions({
  queryKey: ['evals'],
  queryFn: ({ signal }) => get<EvalRunList>('/api/v1/evals/runs?limit=200', { signal }),
});

// null: the job left no eval results.
export const evalRunQuery = (job: number) =>
  queryOptions({
    queryKey: ['evals', job],
    queryFn: async ({ signal }) => {
      // Most jobs have none; the list says so without an error in the browser's console.
      const runs = await get<EvalRunList>(`/api/v1/evals/runs?job=${job}&limit=1`, { signal });
      if (runs.items.length === 0) return null;
      return get<EvalRunDetail>(`/api/v1/evals/runs/${job}`, { signal });
    },
  });
