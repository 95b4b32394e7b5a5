// Folding job events into the pages of a list that is already on screen. Newest first; pure.

import type { InfiniteData } from '@tanstack/react-query';
import type { Job, JobList } from '../api/types.ts';
import { type JobFilter, matches } from './filter.ts';

export type JobPages = InfiniteData<JobList, string | null>;

// New jobs go to the top, known ones change in place, and those that stopped matching leave. A job
// that is neither known nor newer than the first one belongs to a page not loaded yet.
export function applyJobs(data: JobPages, events: Job[], filter: JobFilter): JobPages {
  const latest = new Map(events.map((job) => [job.id, job]));
  const newest = data.pages.find((page) => page.items.length > 0)?.items[0]?.id ?? 0;
  const pages = data.pages.map((page) => applyToPage(page, latest, filter));
  const added = [...latest.values()]
    .filter((job) => job.id > newest && matches(filter, job))
    .sort((a, b) => b.id - a.id);
  if (added.length > 0 && pages[0]) {
    pages[0] = { ...pages[0], items: [...added, ...pages[0].items] };
  }
  const changed = pages.some((page, index) => page !== data.pages[index]);
  return changed ? { ...data, pages } : data;
}

// Items are sorted by falling id, so each event finds its place by bisection.
function applyToPage(page: JobList, latest: Map<number, Job>, filter: JobFilter): JobList {
  let items: (Job | null)[] | null = null;
  for (const job of latest.values()) {
    const index = findJob(page.items, job.id);
    if (index < 0) continue;
    items ??= [...page.items];
    items[index] = matches(filter, job) ? job : null;
  }
  return items ? { ...page, items: items.filter((job) => job !== null) } : page;
}

export function findJob(items: readonly Job[], id: number): number {
  let low = 0;
  let high = items.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const found = (items[middle] as Job).id;
    if (found === id) return middle;
    if (found > id) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

// Merges a freshly read first page with what is on screen, after the feed was away for a while.
export function mergeFirstPage(data: JobPages, fresh: JobList): JobPages {
  const oldest = fresh.items[fresh.items.length - 1]?.id ?? 0;
  const newestKnown = data.pages[0]?.items[0]?.id ?? 0;
  // A gap between the two: what was loaded before cannot be joined on.
  if (fresh.next_cursor !== null && oldest > newestKnown) {
    return { pages: [fresh], pageParams: [null] };
  }
  const known = new Map(fresh.items.map((job) => [job.id, job]));
  const pages = data.pages.map((page) => ({
    ...page,
    items: page.items.filter((job) => !known.has(job.id) && job.id < oldest),
  }));
  if (pages[0]) pages[0] = { ...pages[0], items: [...fresh.items, ...pages[0].items] };
  return { ...data, pages };
}
