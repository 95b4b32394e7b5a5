// The webhook's documented answers, asked of the running program.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fixture, fixtureFolder, Nimbus, queued, sign } from './nimbus.ts';

describe('webhook intake', () => {
  let nimbus: Nimbus;
  before(async () => {
    nimbus = await Nimbus.start();
  });
  after(() => nimbus.stop());

  const jobs = async () => (await nimbus.get('/api/v1/jobs?limit=1000')).json.items.length;
  const deliveries = async () => (await nimbus.get('/api/v1/deliveries?limit=1000')).json.items.length;
  const nothingStored = async (act: () => Promise<void>) => {
    const before = [await jobs(), await deliveries()];
    await act();
    assert.deepEqual([await jobs(), await deliveries()], before);
  };

  for (const file of readdirSync(fixtureFolder).filter((name) => name.endsWith('.json') && name !== 'index.json')) {
    const event = file.split('.')[0];
    test(`${file} with its times moved to now is accepted`, async () => {
      const answer = await nimbus.deliver(fixture(file), { event });
      assert.equal(answer.status, 202, answer.text);
      assert.ok(['queued', 'held', 'updated', 'ignored'].includes(answer.json.result), answer.text);
    });
    if (event === 'workflow_job') {
      test(`${file} as recorded, years old, is refused as stale`, async () => {
        const answer = await nimbus.deliver(readFileSync(path.join(fixtureFolder, file)), { event });
        assert.equal(answer.status, 409, answer.text);
        assert.equal(answer.headers['content-type'], 'application/problem+json');
      });
    }
  }

  test('a queued job for the label nimbus becomes a job that the API shows', async () => {
    const answer = await nimbus.deliver(queued());
    assert.equal(answer.status, 202);
    assert.equal(answer.json.result, 'queued');
    const job = await nimbus.job(answer.json.job);
    assert.equal(job.state, 'queued');
    assert.equal(job.profile, 'nimbus');
  });

  test('a job for other runners is ignored', async () => {
    const answer = await nimbus.deliver(queued(['ubuntu-latest']));
    assert.equal(answer.json.result, 'ignored');
  });

  test('param: and meta: labels become metadata that the list can be filtered by', async () => {
    const answer = await nimbus.deliver(queued(['nimbus', 'param:model=tiny', 'meta:nightly']));
    const found = (await nimbus.get('/api/v1/jobs?metadata=model%3Dtiny')).json.items;
    assert.deepEqual(found.map((job: { id: number }) => job.id), [answer.json.job]);
  });

  test('the same delivery twice makes one job', async () => {
    const body = queued();
    const delivery = randomUUID();
    const first = await nimbus.deliver(body, { delivery });
    assert.equal(first.status, 202);
    const count = await jobs();
    const second = await nimbus.deliver(body, { delivery });
    assert.equal(second.status, 200);
    assert.equal(second.json.result, 'duplicate');
    assert.equal(await jobs(), count);
  });

  test('a delivery id used again with another body is refused', async () => {
    const delivery = randomUUID();
    await nimbus.deliver(queued(), { delivery });
    assert.equal((await nimbus.deliver(queued(), { delivery })).status, 409);
  });

  const signatures: [string, (body: string) => string | null][] = [
    ['is missing', () => null],
    ['is empty', () => ''],
    ['is of another secret', (body) => sign('another-secret', body)],
    ['is cut short', (body) => sign(nimbus.secret, body).slice(0, -1)],
    ['has no prefix', (body) => sign(nimbus.secret, body).slice(7)],
    ['is one of SHA-1', () => `sha1=${'0'.repeat(40)}`],
    ['is of all zeros', () => `sha256=${'0'.repeat(64)}`],
  ];
  for (const [what, make] of signatures) {
    test(`a signature that ${what} gets 401 and nothing is stored`, () =>
      nothingStored(async () => {
        const body = queued();
        const answer = await nimbus.deliver(body, { signature: make(body) });
        assert.equal(answer.status, 401, answer.text);
        assert.equal(answer.headers['content-type'], 'application/problem+json');
      }));
  }

  test('a body with any byte flipped is refused', () =>
    nothingStored(async () => {
      const body = Buffer.from(queued());
      const signature = sign(nimbus.secret, body);
      for (let at = 0; at < body.length; at += Math.ceil(body.length / 64)) {
        const flipped = Buffer.from(body);
        flipped[at] ^= 1;
        assert.equal((await nimbus.deliver(flipped, { signature })).status, 401);
      }
    }));

  const timestamps: [string, string, number][] = [
    ['that is now is accepted', `${Math.floor(Date.now() / 1000)}`, 202],
    ['ten minutes old gets 409', `${Math.floor(Date.now() / 1000) - 600}`, 409],
    ['ten minutes ahead gets 409', `${Math.floor(Date.now() / 1000) + 600}`, 409],
    ['that is no number gets 400', 'yesterday', 400],
  ];
  for (const [what, value, status] of timestamps) {
    test(`a signature timestamp ${what}`, async () => {
      const answer = await nimbus.deliver(queued(), { headers: { 'x-hub-signature-timestamp': value } });
      assert.equal(answer.status, status, answer.text);
    });
  }

  test('26 MiB gets 413', () =>
    nothingStored(async () => {
      const answer = await nimbus.deliver(Buffer.alloc(26 << 20, 0x20)).catch((error) => ({ status: /EPIPE|ECONNRESET/.test(String(error)) ? 413 : 0 }));
      assert.equal(answer.status, 413);
    }));

  test('a delivery without an id gets 400', () =>
    nothingStored(async () => {
      assert.equal((await nimbus.deliver(queued(), { delivery: null })).status, 400);
    }));

  test('a form instead of JSON gets 415', async () => {
    const answer = await nimbus.deliver('payload=%7B%7D', { headers: { 'content-type': 'application/x-www-form-urlencoded' } });
    assert.equal(answer.status, 415);
  });

  const bad: [string, string | Buffer][] = [
    ['garbage', 'not json at all'],
    ['an empty body', ''],
    ['an array', '[]'],
    ['a truncated object', queued().slice(0, -20)],
    ['trailing bytes', `${queued()} {}`],
    ['deep nesting', `{"action":"queued","workflow_job":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
    ['invalid UTF-8', Buffer.concat([Buffer.from('{"action":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')])],
    ['a job that is a string', queued(['nimbus'], (payload) => { payload.workflow_job = 'x'; })],
    ['no job', queued(['nimbus'], (payload) => { delete payload.workflow_job; })],
    ['no repository', queued(['nimbus'], (payload) => { delete payload.repository; })],
    ['no action', queued(['nimbus'], (payload) => { delete payload.action; })],
    ['an id of the wrong type', queued(['nimbus'], (payload) => { payload.workflow_job.id = 'seven'; })],
    ['labels that are numbers', queued(['nimbus'], (payload) => { payload.workflow_job.labels = [1, 2]; })],
    ['a time that is none', queued(['nimbus'], (payload) => { payload.workflow_job.created_at = 'soon'; })],
  ];
  for (const [what, body] of bad) {
    test(`${what}, correctly signed, gets 400 and nothing is stored`, () =>
      nothingStored(async () => {
        const answer = await nimbus.deliver(body);
        assert.equal(answer.status, 400, answer.text.slice(0, 300));
        assert.equal(answer.json.status, 400);
      }));
  }
});
