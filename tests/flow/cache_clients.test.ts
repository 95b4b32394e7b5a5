// GitHub's own packages, unchanged, against a running Nimbus.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fork, hasClients, jobToken, runClient, startClient } from './actions.ts';
import { Nimbus, until } from './nimbus.ts';
import { type Place, places } from './places.ts';

const MiB = 1 << 20;

for (const [where, open] of places) describe(`the Actions clients, with blobs ${where}`, { skip: hasClients() }, () => {
  let place: Place;
  let nimbus: Nimbus;
  before(async () => {
    place = await open();
    // Short, so that the key of a save that was killed before its last request is free again soon.
    nimbus = await Nimbus.start({ config: `${place.config}[cache]\nreservation_ttl_s = 10\n` });
  });
  after(async () => {
    await nimbus.stop();
    await place.close();
  });

  for (const version of [2, 1] as const) {
    test(`cache version ${version}: what is saved is restored elsewhere, and found by prefix`, async () => {
      const token = jobToken(nimbus, { repo: `v${version}` });
      const saved = await runClient(nimbus, token, [
        { step: 'write', file: 'data/a.txt', text: 'hello' },
        { step: 'save', paths: ['data'], key: 'npm-linux-aaa' },
        { step: 'save', paths: ['data'], key: 'npm-linux-aaa' },
      ], { version });
      assert.ok(saved.values[1] > 0, saved.output);
      assert.equal(saved.values[2], -1, 'an entry never changes');
      const restored = await runClient(nimbus, token, [
        { step: 'restore', paths: ['data'], key: 'npm-linux-bbb', restoreKeys: ['npm-mac-', 'npm-linux-'] },
        { step: 'read', file: 'data/a.txt' },
        { step: 'restore', paths: ['data'], key: 'absent' },
        { step: 'restore', paths: ['other'], key: 'npm-linux-aaa' },
      ], { version });
      assert.deepEqual(restored.values, ['npm-linux-aaa', 'hello', null, null], restored.output);
      assert.doesNotMatch(saved.output + restored.output, /::warning::/);
    });

    test(`cache version ${version}: 300 MB go in parts and come back whole`, async () => {
      const token = jobToken(nimbus, { repo: `large${version}` });
      const size = 300 * MiB;
      const saved = await runClient(nimbus, token, [
        { step: 'make', file: 'large/file', size, seed: 'a' },
        { step: 'hash', file: 'large/file' },
        { step: 'save', paths: ['large'], key: 'large' },
      ], { version });
      assert.ok(saved.values[2] > 0, saved.output);
      rmSync(saved.folder, { recursive: true });
      const restored = await runClient(nimbus, token, [
        { step: 'restore', paths: ['large'], key: 'large' },
        { step: 'hash', file: 'large/file' },
      ], { version });
      assert.deepEqual(restored.values, ['large', saved.values[1]], restored.output);
      rmSync(restored.folder, { recursive: true });
    });
  }

  test('of two that save the same key at once one wins, and its bytes are whole', async () => {
    const token = jobToken(nimbus, { repo: 'race' });
    const clients = ['one', 'two'].map((text) =>
      startClient(nimbus, token, [
        { step: 'make', file: 'data/big', size: 20 * MiB, seed: text },
        { step: 'hash', file: 'data/big' },
        { step: 'save', paths: ['data'], key: 'same' },
      ]),
    );
    const ended = await Promise.all(clients.map((client) => client.done));
    const won = ended.filter(({ outcomes }) => outcomes[2].value > 0);
    assert.equal(won.length, 1, ended.map(({ output }) => output).join('\n'));
    const restored = await runClient(nimbus, token, [
      { step: 'restore', paths: ['data'], key: 'same' },
      { step: 'hash', file: 'data/big' },
    ]);
    assert.equal(restored.values[1], won[0].outcomes[1].value);
  });

  test('a save that is killed half-way leaves nothing, and the next one of its key succeeds', async () => {
    const token = jobToken(nimbus, { repo: 'killed' });
    const client = startClient(nimbus, token, [
      { step: 'make', file: 'data/big', size: 200 * MiB, seed: 'killed' },
      { step: 'save', paths: ['data'], key: 'half' },
    ]);
    const open = async () => Number(/^nimbus_cache_open_uploads (\d+)/m.exec((await nimbus.get('/metrics', { token: null })).text)?.[1] ?? 0);
    await until('the upload to have begun', async () => (await open()) > 0 || client.child.exitCode !== null);
    client.child.kill('SIGKILL');
    await client.done;
    // Killed when all was sent and nothing said of it: the key is free after the reservation's time.
    await until('the key to be saved, by the one or the other', async () => {
      const listed = (await nimbus.get('/api/v1/caches?org=acme&repo=killed')).json.items;
      if (listed.length > 0) return true;
      const again = await runClient(nimbus, token, [
        { step: 'write', file: 'data/small', text: 'whole' },
        { step: 'save', paths: ['data'], key: 'half' },
      ]);
      return again.values[1] > 0;
    });
    const restored = await runClient(nimbus, token, [{ step: 'restore', paths: ['data'], key: 'half' }]);
    assert.equal(restored.values[0], 'half');
  });

  test('a fork cannot plant what the default branch restores', async () => {
    const main = jobToken(nimbus, { repo: 'forked' });
    const theirs = jobToken(nimbus, { repo: 'forked', ...fork });
    const planted = await runClient(nimbus, theirs, [
      { step: 'write', file: 'data/a', text: 'bad' },
      { step: 'save', paths: ['data'], key: 'deps-1' },
      { step: 'restore', paths: ['data'], key: 'deps-1' },
    ]);
    assert.ok(planted.values[1] > 0, planted.output);
    assert.equal(planted.values[2], 'deps-1', 'a pull request sees what it wrote');
    const restored = await runClient(nimbus, main, [
      { step: 'restore', paths: ['data'], key: 'deps-1', restoreKeys: ['deps-', 'd'] },
      { step: 'write', file: 'data/a', text: 'good' },
      { step: 'save', paths: ['data'], key: 'deps-1' },
    ]);
    assert.equal(restored.values[0], null);
    assert.ok(restored.values[2] > 0, 'a fork does not take a key away either');
    const audit = await nimbus.cli(['cache', 'audit', '--json']);
    assert.equal(audit.code, 0, audit.stderr);
    assert.deepEqual(JSON.parse(audit.stdout).items, []);
  });

  test('artifacts go from one job of a run to another, are listed, deleted and replaced', async () => {
    const first = jobToken(nimbus, { run: 901, job: 21 });
    const second = jobToken(nimbus, { run: 901, job: 22 });
    const other = jobToken(nimbus, { run: 902, job: 23 });
    const uploaded = await runClient(nimbus, first, [
      { step: 'write', file: 'out/report.txt', text: 'all is well' },
      { step: 'make', file: 'out/big.bin', size: 20 * MiB },
      { step: 'hash', file: 'out/big.bin' },
      { step: 'upload', name: 'results', files: ['out/report.txt', 'out/big.bin'], root: 'out' },
      { step: 'upload', name: 'results', files: ['out/report.txt'], root: 'out' },
    ]);
    assert.ok(uploaded.values[3]?.id > 0, uploaded.output);
    assert.match(uploaded.results[4].error ?? '', /already exists/, uploaded.output);
    const downloaded = await runClient(nimbus, second, [
      { step: 'list' },
      { step: 'download', name: 'results', to: 'got' },
      { step: 'read', file: 'got/report.txt' },
      { step: 'hash', file: 'got/big.bin' },
    ]);
    assert.equal(downloaded.values[0][0].name, 'results', downloaded.output);
    assert.equal(downloaded.values[1].digestMismatch, false, downloaded.output);
    assert.deepEqual(downloaded.values.slice(2), ['all is well', uploaded.values[2]]);
    const strangers = await runClient(nimbus, other, [{ step: 'list' }]);
    assert.deepEqual(strangers.values[0], []);
    const removed = await runClient(nimbus, second, [{ step: 'remove', name: 'results' }, { step: 'list' }]);
    assert.deepEqual(removed.values[1], [], removed.output);
  });

  test('operators list, count and purge; the counters tell hits and misses', async () => {
    const list = await nimbus.cli(['cache', 'list', '--org', 'acme', '--repo', 'v2', '--json']);
    assert.equal(JSON.parse(list.stdout).items[0].key, 'npm-linux-aaa', list.stderr);
    const usage = JSON.parse((await nimbus.cli(['cache', 'usage', '--json'])).stdout).items;
    assert.ok(usage.some((row: { repo: string; size_bytes: number }) => row.repo === 'large2' && row.size_bytes >= 300 * MiB));
    const purged = await nimbus.cli(['cache', 'purge', '--org', 'acme', '--repo', 'v2', '--json']);
    assert.equal(JSON.parse(purged.stdout).deleted, 1, purged.stderr);
    assert.equal((await nimbus.get('/api/v1/caches?org=acme&repo=v2')).json.items.length, 0);
    assert.equal((await nimbus.cli(['cache', 'purge'])).code, 2);
    const metrics = (await nimbus.get('/metrics', { token: null })).text;
    assert.match(metrics, /nimbus_cache_hits_total\{protocol="actions"\} [1-9]/);
    assert.match(metrics, /nimbus_cache_misses_total\{protocol="actions"\} [1-9]/);
    assert.equal((await nimbus.get('/readyz')).json.parts.cache.status, 'ok');
  });

  test('entries survive a restart', async () => {
    const token = jobToken(nimbus, { repo: 'restart' });
    await runClient(nimbus, token, [{ step: 'write', file: 'd/a', text: 'kept' }, { step: 'save', paths: ['d'], key: 'k' }]);
    await nimbus.end('SIGKILL');
    place.forgetNear(nimbus);
    await nimbus.boot();
    const restored = await runClient(nimbus, token, [{ step: 'restore', paths: ['d'], key: 'k' }, { step: 'read', file: 'd/a' }]);
    assert.deepEqual(restored.values, ['k', 'kept'], restored.output);
  });

  test('plain keys for scripts, and what Bazel asks for', async () => {
    const token = jobToken(nimbus, { repo: 'plain' });
    const put = (target: string, body: string) => nimbus.request('PUT', target, { body, token, headers: { 'content-type': 'application/octet-stream' } });
    assert.equal((await put('/cache/tools/x.tar', 'bytes')).status, 201);
    assert.equal((await nimbus.get('/cache/tools/x.tar', { token })).text, 'bytes');
    assert.equal((await nimbus.request('HEAD', '/cache/tools/x.tar', { token })).headers['content-length'], '5');
    const hash = createHash('sha256').update('result').digest('hex');
    assert.equal((await put(`/cas/${hash}`, 'forged')).status, 400);
    assert.equal((await put(`/cas/${hash}`, 'result')).status, 201);
    assert.equal((await nimbus.get(`/cas/${hash}`, { token })).text, 'result');
    assert.equal((await nimbus.get('/cache/tools/x.tar', { token: jobToken(nimbus, { org: 'evil' }) })).status, 404);
    assert.equal((await nimbus.get('/cache/tools/x.tar', { token: jobToken(nimbus, { seconds: -30 }) })).status, 401);
  });
});
