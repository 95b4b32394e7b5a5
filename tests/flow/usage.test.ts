// Wrong input, through the whole program: what the command line and the API refuse, and how.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { binary, type Finished, Nimbus, queued, until } from './nimbus.ts';

describe('wrong input', () => {
  let nimbus: Nimbus;
  before(async () => {
    nimbus = await Nimbus.start();
  });
  after(() => nimbus.stop());

  const wrong: [string[], RegExp][] = [
    [['job', 'list', '--limit', 'x'], /--limit 'x' is not a whole number from 1 to 1000/],
    [['job', 'list', '--state', 'nope'], /--state 'nope' is none of queued, leased,/],
    [['token', 'create', 'ci', '--role', 'nope'], /--role 'nope' is none of viewer, operator, admin, ingest/],
    [['run', '--env', 'NOEQ', '--', 'true'], /--env NOEQ: this shell has no such variable/],
    [['run', '--env', 'NIMBUS_ORG=x', '--', 'true'], /--env 'NIMBUS_ORG=x' has a name that begins with NIMBUS_/],
    [['run', '--cpus', '0', '--', 'true'], /--cpus '0' is not a whole number from 1 to 64/],
    [['run', '--image', 'Acme/Tool', '--', 'true'], /--image 'Acme\/Tool' is no image name/],
    [['up', '--vmm', 'nope'], /--vmm 'nope' is none of auto, qemu, firecracker/],
    [['up', '--listen', 'nope'], /--listen 'nope' is not ADDRESS:PORT/],
    [['jobb', 'list'], /did you mean 'job'/],
    [['job', 'zzzzzzz'], /one of list, show, logs, cancel, rerun/],
    [['job', 'list', '--limt', '1'], /did you mean '--limit'/],
  ];
  for (const [args, says] of wrong) {
    test(`nimbus ${args.join(' ')} is wrong usage and says what is right`, async () => {
      const { code, stderr } = await nimbus.cli(args);
      assert.equal(code, 2, stderr);
      assert.match(stderr, says);
    });
  }

  test('nimbus image import makes no data directory', async () => {
    const empty = mkdtempSync(path.join(tmpdir(), 'nimbus-usage-'));
    try {
      writeFileSync(path.join(empty, 'no-archive.tar'), 'x');
      for (const file of ['/nope', 'no-archive.tar']) {
        const finished = await new Promise<Finished>((resolve) => {
          execFile(binary, ['image', 'import', file], { cwd: empty }, (error, stdout, stderr) => resolve({ code: error ? ((error as { code?: number }).code ?? null) : 0, stdout, stderr }));
        });
        assert.equal(finished.code, 1, finished.stderr);
      }
      assert.equal(existsSync(path.join(empty, 'nimbus-data')), false);
    } finally {
      rmSync(empty, { recursive: true });
    }
  });

  test('a log is not called complete before its job has finished', async () => {
    const { json } = await nimbus.deliver(queued());
    const verdict = await until('an answer of telemetry', async () => {
      const finished = await nimbus.cli(['log', 'verify', `${json.job}`]);
      return finished.stdout ? finished : undefined;
    });
    assert.equal(verdict.code, 1);
    assert.match(verdict.stdout, /the job has not finished \(queued\)/);
  });

  test('a malformed image name is refused by the API, with the field', async () => {
    const answer = await nimbus.post('/api/v1/jobs', { org: 'acme', repo: 'app', command: ['true'], image: 'a b' });
    assert.equal(answer.status, 400);
    assert.match(answer.json.detail, /^field 'image': /);
    assert.match(answer.json.hint, /nimbus\/base/);
  });

  test('a session cannot be made by a form of another site', async () => {
    const body = JSON.stringify({ token: nimbus.token });
    const form = await nimbus.request('POST', '/api/v1/session', { body, headers: { 'content-type': 'text/plain' }, token: null });
    assert.equal(form.status, 415);
    assert.equal((await nimbus.request('POST', '/api/v1/session', { body, token: null })).status, 200);
  });

  test('an unknown query parameter is refused with the known ones', async () => {
    const answer = await nimbus.get('/api/v1/jobs?orgg=acme');
    assert.equal(answer.status, 400);
    assert.match(answer.json.detail, /'orgg'/);
    assert.match(answer.json.hint, /org, repo, state/);
  });

  test('a thing has one path, and a switch two values', async () => {
    const { json } = await nimbus.deliver(queued());
    assert.equal((await nimbus.get(`/api/v1/jobs/${json.job}`)).status, 200);
    for (const id of [`0${json.job}`, `%2B${json.job}`, `${json.job}x`]) assert.equal((await nimbus.get(`/api/v1/jobs/${id}`)).status, 404, id);
    const answer = await nimbus.get(`/api/v1/jobs/${json.job}/logs?follow=2`);
    assert.equal(answer.status, 400);
    assert.match(answer.json.detail, /'follow' must be one of 0, 1, not '2'/);
  });

  test("a page's address answers curl as it answers a browser, and a program that wants JSON with a problem", async () => {
    const ask = (accept: string) => nimbus.request('GET', '/jobs/1', { headers: { accept }, token: null });
    const page = await ask('*/*');
    assert.equal(page.status, 200);
    assert.match(page.text, /<!doctype html>/i);
    assert.equal((await ask('application/json')).status, 404);
  });

  test('the configuration is printed as JSON, valid or not', async () => {
    const json = async (...args: string[]) => JSON.parse((await nimbus.cli(['config', ...args, '--json'])).stdout);
    assert.equal((await json('show')).agent.slots, 2);
    assert.ok((await json('reference')).some((key: { key: string }) => key.key === 'webhook.mode'));
    const wrong = path.join(nimbus.data, 'wrong.toml');
    writeFileSync(wrong, '[agent]\nslotz = 1\n');
    const verdict = await json('check', '--config', wrong);
    assert.equal(verdict.valid, false);
    assert.match(verdict.hint, /slots/);
  });

  test('doctor says of KVM what a guest found out, not that there is a device', async () => {
    const { stdout } = await nimbus.cli(['doctor', '--json']);
    const kvm = JSON.parse(stdout).find((check: { name: string }) => check.name === 'KVM');
    assert.match(kvm.detail, kvm.ok ? /^boots a guest/ : /^not used: |not probed: /);
  });

  test('a field that is there twice is refused', async () => {
    const answer = await nimbus.request('POST', '/api/v1/jobs', { body: '{"org":"acme","org":"other","repo":"app","command":["true"]}' });
    assert.equal(answer.status, 400);
    assert.match(answer.json.detail, /'org' is there twice/);
  });

  test('metrics are for this host, not for clients of its proxy or a wrong token', async () => {
    const ask = async (headers: Record<string, string>) => (await nimbus.request('GET', '/metrics', { headers, token: null })).status;
    assert.equal(await ask({}), 200);
    assert.equal(await ask({ 'x-forwarded-for': '192.0.2.1' }), 401);
    assert.equal(await ask({ authorization: 'Bearer wrong' }), 401);
  });
});
