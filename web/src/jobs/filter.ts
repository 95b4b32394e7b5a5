// The filters of the job list. They live in the page's address with the API's own names, so a filtered
// list can be bookmarked and sent to a colleague; the one-line text form is for typing.

import type { Job, JobState } from '../api/types.ts';

export interface JobFilter {
  states: JobState[]; // none: any
  org: string;
  repo: string;
  label: string;
  metadata: string; // key=value
}

export const JOB_STATES: readonly JobState[] = [
  'queued',
  'leased',
  'running',
  'succeeded',
  'failed',
  'cancelled',
  'timed_out',
  'lost',
];

const isJobState = (text: string): text is JobState =>
  (JOB_STATES as readonly string[]).includes(text);

export function filterFromSearch(search: URLSearchParams): JobFilter {
  const named = (search.get('state') ?? '').split(',');
  const metadata = search.get('metadata') ?? '';
  return {
    states: JOB_STATES.filter((state) => named.includes(state)),
    org: search.get('org') ?? '',
    repo: search.get('repo') ?? '',
    label: search.get('label') ?? '',
    metadata: metadata.includes('=') ? metadata : '',
  };
}

export function searchFromFilter(filter: JobFilter): URLSearchParams {
  const search = new URLSearchParams();
  if (filter.states.length > 0) search.set('state', filter.states.join(','));
  for (const name of ['org', 'repo', 'label', 'metadata'] as const) {
    if (filter[name]) search.set(name, filter[name]);
  }
  return search;
}

export const isEmptyFilter = (filter: JobFilter): boolean => searchFromFilter(filter).size === 0;

// `acme/app label:gpu model=qwen`: what a person types. The states have controls of their own, but are
// understood here too. Words that mean nothing are given back, so that the page can say so.
export function parseFilterText(text: string, states: JobState[]): [JobFilter, string[]] {
  const filter: JobFilter = { states, org: '', repo: '', label: '', metadata: '' };
  const unknown: string[] = [];
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const colon = word.indexOf(':');
    const key = colon > 0 ? word.slice(0, colon).toLowerCase() : '';
    const value = word.slice(colon + 1);
    if (key === 'org') filter.org = value;
    else if (key === 'repo') setRepo(filter, value);
    else if (key === 'label') filter.label = value;
    else if (key === 'state' && isJobState(value)) filter.states = [value];
    else if (word.indexOf('=') > 0) filter.metadata = word;
    else if (!key && word.includes('/')) setRepo(filter, word);
    else unknown.push(word);
  }
  return [filter, unknown];
}

function setRepo(filter: JobFilter, text: string): void {
  const slash = text.indexOf('/');
  if (slash >= 0) filter.org = text.slice(0, slash);
  filter.repo = text.slice(slash + 1);
}

export function filterText(filter: JobFilter): string {
  const words: string[] = [];
  if (filter.org && filter.repo) words.push(`${filter.org}/${filter.repo}`);
  else if (filter.org) words.push(`org:${filter.org}`);
  else if (filter.repo) words.push(`repo:${filter.repo}`);
  if (filter.label) words.push(`label:${filter.label}`);
  if (filter.metadata) words.push(filter.metadata);
  return words.join(' ');
}

const same = (a: string, b: string): boolean => a.toLowerCase() === b.toLowerCase();

// The server's rule, for jobs that arrive by the live feed.
export function matches(filter: JobFilter, job: Job): boolean {
  if (filter.states.length > 0 && !filter.states.includes(job.state)) return false;
  if (filter.org && !same(job.org, filter.org)) return false;
  if (filter.repo && !same(job.repo, filter.repo)) return false;
  if (filter.label && !job.labels.some((own) => same(own, filter.label))) return false;
  if (!filter.metadata) return true;
  const equals = filter.metadata.indexOf('=');
  return job.metadata[filter.metadata.slice(0, equals)] === filter.metadata.slice(equals + 1);
}
