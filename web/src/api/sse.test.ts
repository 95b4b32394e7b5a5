import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryDelayMs } from './retry.ts';
import { SseParser } from './sse.ts';

test('an event has a type, its data and the last id', () => {
  const parser = new SseParser();
  assert.deepEqual(parser.push('id: 7\nevent: job\ndata: {"id":1}\n\n'), [
    { type: 'job', data: '{"id":1}', id: '7' },
  ]);
  assert.deepEqual(parser.push('data: x\n\n'), [{ type: 'message', data: 'x', id: '7' }]);
});

test('the stream may be cut anywhere', () => {
  const stream = 'id: 1\r\nevent: line\r\ndata: a\r\ndata: b\r\n\r\n: beat\n\nid: 2\ndata:c\r\r';
  const whole = new SseParser().push(`${stream}\n`);
  assert.deepEqual(whole, [
    { type: 'line', data: 'a\nb', id: '1' },
    { type: 'message', data: 'c', id: '2' },
  ]);
  for (let at = 0; at <= stream.length; at += 1) {
    const parser = new SseParser();
    assert.deepEqual(
      [...parser.push(stream.slice(0, at)), ...parser.push(`${stream.slice(at)}\n`)],
      whole,
    );
  }
});

test('comments, unknown fields and events without data are nothing', () => {
  assert.deepEqual(new SseParser().push(': x\nretry: 5\nfoo: bar\nevent: job\n\n'), []);
});

test('an endless event is refused', () => {
  const parser = new SseParser();
  const piece = 'x'.repeat(1024 * 1024);
  assert.throws(() => {
    for (let count = 0; count < 6; count += 1) parser.push(`data: ${piece}\n`);
  });
  assert.throws(() => {
    for (let count = 0; count < 6; count += 1) parser.push(piece);
  });
});

test('waiting grows to fifteen seconds and is never the same for everybody', () => {
  assert.equal(
    retryDelayMs(0, () => 0),
    250,
  );
  assert.equal(
    retryDelayMs(0, () => 1),
    500,
  );
  assert.equal(
    retryDelayMs(50, () => 0),
    7500,
  );
  assert.equal(
    retryDelayMs(50, () => 1),
    15_000,
  );
});
