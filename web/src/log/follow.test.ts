import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { Feed } from '../api/feed.ts';
import type { ServerEvent } from '../api/sse.ts';
import { LogFollower, type LogSnapshot } from './follow.ts';

// The browser's parts that these two use, and a server that answers as each test says.
const real = { fetch: globalThis.fetch };
let asked: { url: string; headers: Record<string, string> }[] = [];
let answers: (() => Response)[] = [];

const stream = (text: string) =>
  new Response(text, { headers: { 'Content-Type': 'text/event-stream' } });
const refused = (status: number, detail: string) =>
  Response.json({ title: 'Refused', status, detail }, { status });
const event = (type: string, data: object, id = '') =>
  `${id && `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
const line = (seq: number, fence = 1) =>
  event('line', { ts: '2026-01-02T03:04:05Z', seq, stream: 'stdout', text: `line ${seq}`, fence });

beforeEach(() => {
  asked = [];
  answers = [];
  Object.assign(globalThis, {
    document: Object.assign(new EventTarget(), { hidden: false }),
    window: new EventTarget(),
    requestAnimationFrame: (work: () => void) => setTimeout(work, 0),
    cancelAnimationFrame: clearTimeout,
    fetch: async (url: string, init: RequestInit) => {
      asked.push({ url, headers: init.headers as Record<string, string> });
      const answer = answers.shift();
      if (answer) return answer();
      // Nothing more to say: the connection stays open.
      const body = new ReadableStream({
        start: (controller) =>
          init.signal?.addEventListener('abort', () => controller.error(new Error('aborted'))),
      });
      return new Response(body);
    },
  });
});
afterEach(() => {
  globalThis.fetch = real.fetch;
});

function follow(
  job: number,
  fence: number | null,
  done: (log: LogSnapshot) => boolean,
): Promise<LogSnapshot> {
  const follower = new LogFollower(job, fence);
  return new Promise((resolve) => {
    const look = () => {
      if (!done(follower.snapshot())) return;
      stop();
      resolve(follower.snapshot());
    };
    follower.subscribe(look);
    const stop = follower.start();
  });
}

const texts = (log: LogSnapshot) => log.buffer.slice(0, log.buffer.count).split('\n');

test('a log is read to its end', async () => {
  answers = [
    () =>
      stream(
        event('execution', { fence: 1 }) +
          line(1) +
          line(2) +
          event('end', { state: 'failed', missing: 3 }),
      ),
  ];
  const log = await follow(7, null, ({ state }) => state === 'ended');
  assert.deepEqual(texts(log), ['line 1', 'line 2']);
  assert.deepEqual([log.fence, log.missing], [1, 3]);
  assert.equal(asked[0]?.url, '/api/v1/jobs/7/logs?follow=1');
});

test('a connection that breaks is taken up where it was', async () => {
  answers = [
    () => stream(event('execution', { fence: 1 }) + line(1) + line(2)),
    () => refused(503, 'the store is away'),
    () => stream(event('execution', { fence: 1 }) + line(2) + line(3) + event('end', {})),
  ];
  const log = await follow(7, null, ({ state }) => state === 'ended');
  assert.deepEqual(texts(log), ['line 1', 'line 2', 'line 3']);
  assert.match(asked[2]?.url ?? '', /after=2/);
});

test('another execution begins a new log', async () => {
  answers = [
    () =>
      stream(
        event('execution', { fence: 1 }) +
          line(1) +
          event('execution', { fence: 2 }) +
          line(1, 2) +
          event('end', {}),
      ),
  ];
  const log = await follow(7, null, ({ state }) => state === 'ended');
  assert.equal(log.fence, 2);
  assert.deepEqual(texts(log), ['line 1']);
});

test('an execution that began while the connection was away is read from its start', async () => {
  answers = [
    () => stream(event('execution', { fence: 1 }) + line(1) + line(2)),
    () => stream(event('execution', { fence: 2 }) + line(3, 2)),
    () =>
      stream(
        event('execution', { fence: 2 }) + line(1, 2) + line(2, 2) + line(3, 2) + event('end', {}),
      ),
  ];
  const log = await follow(7, null, ({ state }) => state === 'ended');
  assert.equal(log.fence, 2);
  assert.deepEqual(texts(log), ['line 1', 'line 2', 'line 3']);
  assert.doesNotMatch(asked[2]?.url ?? '', /after/);
});

test('an earlier execution is asked for by its fence', async () => {
  answers = [() => stream(event('execution', { fence: 1 }) + line(1) + event('end', {}))];
  await follow(7, 1, ({ state }) => state === 'ended');
  assert.match(asked[0]?.url ?? '', /fence=1/);
});

test('a refusal is final and says why', async () => {
  answers = [() => refused(404, 'there is no job 7')];
  const log = await follow(7, null, ({ state }) => state === 'refused');
  assert.equal(log.reason, 'there is no job 7');
  assert.equal(asked.length, 1);
});

test('the feed comes back with the last id it saw, and catches up', async () => {
  answers = [() => stream(event('job', { id: 1 }, '41') + event('job', { id: 2 }, '42'))];
  const events: ServerEvent[] = [];
  let stop = () => {};
  await new Promise<void>((resolve) => {
    const feed = new Feed('/api/v1/events', (batch) => events.push(...batch), resolve);
    stop = feed.start();
  });
  stop();
  assert.deepEqual(
    events.map(({ id }) => id),
    ['41', '42'],
  );
  assert.equal(asked[0]?.headers['Last-Event-ID'], undefined);
  assert.equal(asked[1]?.headers['Last-Event-ID'], '42');
});

test('one quick reconnection goes unnoticed, a second failure is told', async () => {
  answers = [() => stream(''), () => refused(503, 'starting'), () => refused(503, 'starting')];
  const states: string[] = [];
  let stop = () => {};
  await new Promise<void>((resolve) => {
    const feed = new Feed('/api/v1/events', () => {}, resolve);
    feed.subscribe(() => states.push(feed.status().state));
    stop = feed.start();
  });
  stop();
  assert.deepEqual(states, ['live', 'lost', 'live']);
  assert.equal(asked.length, 4);
});
