import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytes, shortDigest } from '../format.ts';
import { ANY_ENTRY, entryFilterFromSearch, jobOf, searchFromEntryFilter } from './filter.ts';

test('a filter survives the address bar', () => {
  const filter = { org: 'acme', repo: '', key: 'npm-&=', sort: 'largest' } as const;
  assert.deepEqual(entryFilterFromSearch(searchFromEntryFilter(filter)), filter);
  assert.deepEqual(entryFilterFromSearch(new URLSearchParams('sort=best')), ANY_ENTRY);
});

test('only a job’s id leads to a job', () => {
  assert.equal(jobOf('job-12'), 12);
  assert.equal(jobOf('tok-12'), null);
  assert.equal(jobOf('job-0'), null);
});

test('bytes are read at a glance', () => {
  const examples = [0, 1023, 1024, 1536, 10_240, 1_048_575, 1_048_576, 5e9, 2 ** 60];
  assert.deepEqual(examples.map(bytes), [
    '0 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '10 KiB',
    '1 MiB',
    '1 MiB',
    '4.7 GiB',
    '1024 PiB',
  ]);
});

test('a digest is cut after what tells it from others', () => {
  assert.equal(shortDigest(`sha256:${'ab'.repeat(32)}`), 'sha256:abababababab…');
  assert.equal(shortDigest('sha256:ab'), 'sha256:ab');
});
