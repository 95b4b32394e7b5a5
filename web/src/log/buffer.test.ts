import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogBuffer } from './buffer.ts';

const line = (seq: number, text = `line ${seq}`, stream = 'stdout') => ({
  ts: '2026-01-02T03:04:05.678901Z',
  seq,
  stream,
  text,
});

function bufferOf(...seqs: number[]): LogBuffer {
  const buffer = new LogBuffer();
  for (const seq of seqs) buffer.append(line(seq));
  return buffer;
}

test('lines are kept in order with their time and stream', () => {
  const buffer = new LogBuffer();
  buffer.append(line(1, 'out'));
  buffer.append(line(2, 'err', 'stderr'));
  buffer.append(line(3, 'said', 'system'));
  assert.equal(buffer.count, 3);
  assert.deepEqual(
    [0, 1, 2].map((index) => buffer.stream(index)),
    ['stdout', 'stderr', 'system'],
  );
  assert.equal(buffer.text(1), 'err');
  assert.equal(buffer.time(0), Date.parse('2026-01-02T03:04:05.678Z'));
});

test('a line that comes again is ignored', () => {
  assert.equal(bufferOf(1, 2, 2, 1, 3).count, 3);
});

test('missing lines leave a gap row that says how many', () => {
  const buffer = bufferOf(1, 5, 7);
  assert.deepEqual(
    Array.from({ length: buffer.count }, (_, index) => [buffer.seq(index), buffer.stream(index)]),
    [
      [1, 'stdout'],
      [2, 'gap'],
      [5, 'stdout'],
      [6, 'gap'],
      [7, 'stdout'],
    ],
  );
  assert.match(buffer.text(1), /3 lines are missing/);
  assert.match(buffer.text(3), /1 line is missing/);
});

test('a line number leads to its row, or the one before it', () => {
  const buffer = bufferOf(1, 2, 10);
  assert.equal(buffer.indexOfSeq(1), 0);
  assert.equal(buffer.indexOfSeq(10), 3);
  assert.equal(buffer.indexOfSeq(7), 2);
  assert.equal(buffer.indexOfSeq(99), 3);
  assert.equal(new LogBuffer().indexOfSeq(1), -1);
});

test('a hundred thousand lines are kept', () => {
  const buffer = new LogBuffer();
  for (let seq = 1; seq <= 100_000; seq += 1) buffer.append(line(seq));
  assert.equal(buffer.count, 100_000);
  assert.equal(buffer.text(99_999), 'line 100000');
  assert.equal(buffer.slice(99_998, 100_000), 'line 99999\nline 100000');
});

test('nonsense numbers from the wire are ignored', () => {
  const buffer = new LogBuffer();
  for (const seq of [0, -1, Number.NaN]) buffer.append(line(seq));
  assert.equal(buffer.count, 0);
});
