import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogBuffer } from './buffer.ts';
import { LogLayout } from './layout.ts';
import { LogSearch } from './search.ts';
import { cut, mark } from './segments.ts';
import { linesHash, parseLines } from './selection.ts';

function bufferOf(...texts: string[]): LogBuffer {
  const buffer = new LogBuffer();
  for (const [index, text] of texts.entries()) {
    buffer.append({ ts: '2026-01-02T03:04:05Z', seq: index + 1, stream: 'stdout', text });
  }
  return buffer;
}

test('without wrapping a line is a row', () => {
  const layout = new LogLayout(bufferOf('a', 'b'.repeat(1000)), 0).extend();
  assert.equal(layout.rows, 2);
  assert.deepEqual(layout.lineOfRow(1), { line: 1, from: 0 });
});

test('with wrapping a line takes as many rows as it needs, an empty one one', () => {
  const layout = new LogLayout(
    bufferOf('', 'x'.repeat(10), 'x'.repeat(11), 'x'.repeat(25)),
    10,
  ).extend();
  assert.equal(layout.rows, 1 + 1 + 2 + 3);
  const places = Array.from({ length: layout.rows }, (_, row) => layout.lineOfRow(row));
  assert.deepEqual(
    places.map(({ line, from }) => `${line}:${from}`),
    ['0:0', '1:0', '2:0', '2:10', '3:0', '3:10', '3:20'],
  );
  assert.deepEqual(
    [0, 1, 2, 3].map((line) => layout.rowOfLine(line)),
    [0, 1, 2, 4],
  );
});

test('lines that come later are taken in', () => {
  const buffer = bufferOf('x'.repeat(15));
  const layout = new LogLayout(buffer, 10).extend();
  buffer.append({ ts: '', seq: 2, stream: 'stdout', text: 'y' });
  assert.equal(layout.rows, 2);
  assert.equal(layout.extend().rows, 3);
});

test('escape sequences take no room', () => {
  assert.equal(new LogLayout(bufferOf('\u001b[31m1234567890\u001b[0m'), 10).extend().rows, 1);
});

test('cutting keeps styles and never tears a character in two', () => {
  const segments = [
    { text: 'abc', style: null },
    { text: 'd😀e', style: null },
  ];
  const text = (from: number, length: number) =>
    cut(segments, from, length)
      .map((segment) => segment.text)
      .join('|');
  assert.equal(text(0, 4), 'abc|d');
  assert.equal(text(2, 3), 'c|d😀');
  assert.equal(text(5, 3), 'e');
  assert.equal(text(9, 3), '');
});

test('a found word is marked across a change of style', () => {
  const pieces = mark(
    [
      { text: 'an Er', style: null },
      { text: 'ror, error', style: null },
    ],
    'error',
  );
  assert.deepEqual(
    pieces.map((piece) => (piece.found ? `[${piece.text}]` : piece.text)),
    ['an ', '[Er]', '[ror]', ', ', '[error]'],
  );
});

test('search finds lines without regard to case or escapes, in slices', () => {
  const texts = Array.from({ length: 50_000 }, (_, index) =>
    index % 1000 === 7 ? 'an \u001b[31mER\u001b[0mror' : 'fine',
  );
  const search = new LogSearch(bufferOf(...texts), 'Error');
  let steps = 1;
  while (search.step()) steps += 1;
  assert.equal(search.matches.length, 50);
  assert.equal(search.matches[1], 1007);
  assert.equal(steps, 3);
  assert.equal(search.nearest(1008), 2);
  assert.equal(search.nearest(49_999), 0);
});

test('lines in the address are read and written', () => {
  assert.deepEqual(parseLines('#L7'), { from: 7, to: 7 });
  assert.deepEqual(parseLines('#L20-L7'), { from: 7, to: 20 });
  assert.equal(parseLines('#L0'), null);
  assert.equal(parseLines('#Lx'), null);
  assert.equal(parseLines('#main'), null);
  assert.equal(linesHash({ from: 7, to: 7 }), '#L7');
  assert.equal(linesHash({ from: 7, to: 20 }), '#L7-L20');
});
