import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Job } from '../api/types.ts';
import { geometryOf } from '../components/geometry.ts';
import { ago, commandLine, duration, memory, shortRef } from '../format.ts';
import { safeNext } from '../next.ts';
import {
  filterFromSearch,
  filterText,
  matches,
  parseFilterText,
  searchFromFilter,
} from './filter.ts';
import { applyJobs, type JobPages, mergeFirstPage } from './live.ts';
import { jobTitle } from './title.ts';

const job = (id: number, change: Partial<Job> = {}): Job => ({
  id,
  org: 'acme',
  repo: 'app',
  ref: null,
  sha: null,
  state: 'queued',
  reason: '',
  profile: null,
  image: 'nimbus/base',
  command: ['true'],
  labels: ['nimbus', 'gpu'],
  metadata: { model: 'qwen' },
  resources: { cpus: 2, memory_mb: 2048, disk_mb: 10240 },
  timeout_s: 3600,
  fence: 0,
  tries: 0,
  tries_max: 3,
  agent: null,
  exit_code: null,
  cancel_requested: false,
  created_at: '2026-01-02T03:04:05Z',
  leased_at: null,
  started_at: null,
  finished_at: null,
  log: { last_seq: null },
  github: null,
  rerun_of: null,
  ...change,
});
const anything = filterFromSearch(new URLSearchParams());
const pages = (...lists: number[][]): JobPages => ({
  pages: lists.map((ids) => ({ items: ids.map((id) => job(id)), next_cursor: null })),
  pageParams: lists.map(() => null),
});
const ids = (data: JobPages) => data.pages.map((page) => page.items.map((each) => each.id));

test('a filter survives the page’s address', () => {
  const search = 'state=running%2Cfailed&org=acme&repo=app&label=gpu&metadata=model%3Dqwen';
  assert.equal(searchFromFilter(filterFromSearch(new URLSearchParams(search))).toString(), search);
});

test('what the address says wrongly is left out', () => {
  const filter = filterFromSearch(new URLSearchParams('state=broken&metadata=novalue'));
  assert.deepEqual(filter, anything);
});

test('typed words become a filter and come back as typed', () => {
  const [filter, unknown] = parseFilterText('acme/app label:gpu model=qwen', ['failed']);
  assert.deepEqual(unknown, []);
  assert.deepEqual(filter, {
    states: ['failed'],
    org: 'acme',
    repo: 'app',
    label: 'gpu',
    metadata: 'model=qwen',
  });
  assert.equal(filterText(filter), 'acme/app label:gpu model=qwen');
});

test('words that mean nothing are named', () => {
  assert.deepEqual(parseFilterText('hello repo:app world', [])[1], ['hello', 'world']);
});

test('a job is matched as the server does it', () => {
  const fits = (text: string) => matches(parseFilterText(text, [])[0], job(1));
  assert.ok(fits(''));
  assert.ok(fits('ACME/app'));
  assert.ok(fits('label:GPU model=qwen state:queued'));
  assert.ok(!fits('acme/other'));
  assert.ok(!fits('state:failed'));
  assert.ok(!fits('model=llama'));
  assert.ok(!fits('label:arm'));
});

test('new jobs go to the top, newest first', () => {
  assert.deepEqual(ids(applyJobs(pages([5, 4]), [job(6), job(7)], anything)), [[7, 6, 5, 4]]);
});

test('a known job changes in place, on any page', () => {
  const data = applyJobs(pages([5, 4], [3, 2]), [job(3, { state: 'running' })], anything);
  assert.equal(data.pages[1]?.items[0]?.state, 'running');
  assert.deepEqual(ids(data), [
    [5, 4],
    [3, 2],
  ]);
});

test('a job that stops matching leaves, and an old unknown one stays away', () => {
  const queued = { ...anything, states: ['queued' as const] };
  assert.deepEqual(ids(applyJobs(pages([5, 3]), [job(5, { state: 'running' }), job(4)], queued)), [
    [3],
  ]);
});

test('of several events of one job the last counts', () => {
  const data = applyJobs(
    pages([1]),
    [job(1, { state: 'leased' }), job(1, { state: 'running' })],
    anything,
  );
  assert.equal(data.pages[0]?.items[0]?.state, 'running');
});

test('events that change nothing give the same object back', () => {
  const data = pages([5, 3]);
  assert.equal(applyJobs(data, [job(4)], anything), data);
});

test('the first job of an empty list appears', () => {
  assert.deepEqual(ids(applyJobs(pages([]), [job(1)], anything)), [[1]]);
});

test('a fresh first page is joined to what was loaded', () => {
  const fresh = { items: [job(7), job(6), job(5)], next_cursor: 'x' };
  assert.deepEqual(ids(mergeFirstPage(pages([5, 4], [3]), fresh)), [[7, 6, 5, 4], [3]]);
});

test('a fresh first page with a gap to the old one replaces it', () => {
  const fresh = { items: [job(90), job(89)], next_cursor: 'x' };
  assert.deepEqual(ids(mergeFirstPage(pages([5, 4], [3]), fresh)), [[90, 89]]);
});

test('a job is called by its name on GitHub, its script or its command', () => {
  const github = { job_name: 'unit tests' } as Job['github'];
  assert.equal(jobTitle(job(1, { github })), 'unit tests');
  assert.equal(jobTitle(job(1, { command: ['sh', '-c', 'make  test\n'] })), 'make test');
  assert.equal(jobTitle(job(1, { command: ['echo', 'a b', "it's"] })), "echo 'a b' 'it'\\''s'");
  assert.equal(jobTitle(job(1, { command: [] })), 'Job 1');
});

test('numbers read well', () => {
  assert.deepEqual([0.0444, 0.99999, 1.26, 12.9, 185, 7800, 273_600].map(duration), [
    '44 ms',
    '999 ms',
    '1.2 s',
    '12 s',
    '3 m 05 s',
    '2 h 10 m',
    '3 d 4 h',
  ]);
  assert.equal(duration(Number.NaN), '–');
  const now = Date.parse('2026-01-02T03:05:05Z');
  assert.equal(ago('2026-01-02T03:04:05Z', now), '1 m ago');
  assert.equal(ago('2026-01-02T03:05:04.5Z', now), 'just now');
  assert.deepEqual([512, 2048, 1536, 1000].map(memory), [
    '512 MiB',
    '2 GiB',
    '1.5 GiB',
    '1,000 MiB',
  ]);
  assert.deepEqual(
    ['refs/heads/main', 'refs/tags/v1', 'refs/pull/12/merge', 'main'].map(shortRef),
    ['main', 'v1', 'pull/12', 'main'],
  );
  assert.equal(commandLine(['a', '$x', '']), "a '$x' ''");
});

test('after signing in only paths of this page are opened', () => {
  assert.equal(safeNext('/jobs/12?tab=eval#L3'), '/jobs/12?tab=eval#L3');
  for (const bad of [
    null,
    '',
    'https://evil.example',
    '//evil.example',
    '/\\evil.example',
    'jobs',
  ]) {
    assert.equal(safeNext(bad), '/jobs');
  }
});

test('a list too tall for the browser is scaled, and its end can be reached', () => {
  const small = geometryOf(1000, 20, 500);
  assert.equal(small.scrollHeight, 20_000);
  assert.equal(small.toOffset(1234), 1234);
  const large = geometryOf(10_000_000, 20, 500);
  assert.equal(large.scrollHeight, 16_000_000);
  assert.equal(large.toOffset(0), 0);
  assert.equal(large.toOffset(large.scrollMax), 200_000_000 - 500);
  assert.ok(Math.abs(large.toScroll(large.toOffset(123_456)) - 123_456) < 0.001);
});
