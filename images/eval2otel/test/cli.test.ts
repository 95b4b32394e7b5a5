// The command, as built, against a collector of the test's own.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

const root = path.resolve(import.meta.dirname, '..');
const evaluation = (id: string, extra: object = {}) =>
  JSON.stringify({ id, timestamp: 1_767_225_600_000, model: 'm', operation: 'chat', request: { model: 'm' }, response: {}, usage: { inputTokens: 3 }, performance: { duration: 1 }, ...extra });

interface Span {
  name: string;
  attributes: { key: string; value: Record<string, unknown> }[];
}

describe('eval2otel-cli', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'eval2otel-'));
  const received: { type: string | undefined; body: Buffer }[] = [];
  let status = 200;
  const collector = http.createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray());
    received.push({ type: request.headers['content-type'], body });
    response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
  });
  let endpoint = '';

  before(async () => {
    execFileSync(process.execPath, ['build.mjs'], { cwd: root });
    await new Promise<void>((resolve) => collector.listen(0, '127.0.0.1', resolve));
    endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  });
  after(() => {
    collector.close();
    rmSync(folder, { recursive: true });
  });

  const start = (args: string[]) => {
    received.length = 0;
    const child = spawn(process.execPath, ['dist/cli.mjs', ...args], { cwd: root, env: { PATH: process.env.PATH } });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data) => { stdout += data; });
    child.stderr.on('data', (data) => { stderr += data; });
    const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
      child.on('close', (code) => resolve({ code, stdout, stderr })));
    return { child, ended };
  };
  const run = (...args: string[]) => start(args).ended;
  const file = (lines: string[]) => {
    const name = path.join(folder, 'results.jsonl');
    writeFileSync(name, lines.map((line) => `${line}\n`).join(''));
    return name;
  };
  const spans = (): Span[] => received.flatMap(({ body }) => JSON.parse(body.toString()).resourceSpans
    .flatMap((resource: { scopeSpans: { spans: Span[] }[] }) => resource.scopeSpans.flatMap((scope) => scope.spans)));
  const ids = () => spans().map((span) => span.attributes.find(({ key }) => key === 'evalops.eval.id')?.value.stringValue);

  test('sends a span per line, in JSON and in protobuf', async () => {
    const lines = file([evaluation('a'), '', evaluation('b')]);
    assert.equal((await run('ingest', '--file', lines, '--endpoint', endpoint, '--protocol', 'http/json')).code, 0);
    assert.deepEqual(ids(), ['a', 'b']);
    assert.equal((await run('ingest', '--file', lines, '--endpoint', endpoint)).code, 0);
    assert.equal(received[0].type, 'application/x-protobuf');
    assert.ok(received[0].body.includes('evalops.eval.id'));
  });

  test('skips a bad line with its number; --strict makes that a failure', async () => {
    const lines = file([evaluation('a'), '{broken', evaluation('b', { operation: 'guess' }), evaluation('c')]);
    const result = await run('ingest', '--file', lines, '--endpoint', endpoint, '--protocol', 'http/json');
    assert.equal(result.code, 0);
    assert.match(result.stderr, /line 2: skipped: /);
    assert.match(result.stderr, /line 3: skipped: operation must be one of/);
    assert.match(result.stderr, /2 evaluations, 2 lines skipped/);
    assert.deepEqual(ids(), ['a', 'c']);
    assert.equal((await run('ingest', '--file', lines, '--endpoint', endpoint, '--strict')).code, 1);
  });

  test('the last of two evaluations with one id is sent, with a warning', async () => {
    const lines = file([evaluation('same', { model: 'first', request: { model: 'first' } }), evaluation('other'), evaluation('same')]);
    const result = await run('ingest', '--file', lines, '--endpoint', endpoint, '--protocol', 'http/json');
    assert.match(result.stderr, /line 3: evaluation same replaces the one of line 1/);
    assert.deepEqual(ids(), ['other', 'same']);
  });

  test('a provider pair is recognised; texts stay here unless asked for, and credentials even then', async () => {
    const pair = { request: { model: 'm', messages: [{ role: 'user', content: 'my key is sk-abcdefghijklmnopqrstuv' }] },
      response: { model: 'm', message: { role: 'assistant', content: 'noted' }, done: true, total_duration: 5 }, startTime: 1000, endTime: 2000 };
    const lines = file([JSON.stringify(pair)]);
    await run('ingest', '--file', lines, '--endpoint', endpoint, '--protocol', 'http/json');
    assert.equal(spans().length, 1);
    assert.ok(!received[0].body.includes('my key'));
    await run('ingest', '--file', lines, '--endpoint', endpoint, '--protocol', 'http/json', '--capture-content');
    assert.ok(received[0].body.includes('my key is [REDACTED]'));
    assert.ok(!received[0].body.includes('sk-abcdef'));
  });

  test('a pair of no known provider is skipped when detection is strict', async () => {
    const result = await run('ingest', '--file', file([JSON.stringify({ request: {}, response: { odd: 1 } })]), '--autodetect-strict', '--endpoint', endpoint);
    assert.match(result.stderr, /the provider is not recognised/);
  });

  test('a collector that is away or refuses is reported and fails nothing', async () => {
    const lines = file([evaluation('a')]);
    const away = await run('ingest', '--file', lines, '--endpoint', 'http://127.0.0.1:9');
    assert.equal(away.code, 0);
    assert.match(away.stderr, /1 of 1 spans did not reach the collector: .*ECONNREFUSED/);
    status = 403;
    const refused = await run('ingest', '--file', lines, '--endpoint', endpoint);
    status = 200;
    assert.equal(refused.code, 0);
    assert.match(refused.stderr, /1 of 1 spans did not reach the collector/);
  });

  test('what was read is sent when SIGTERM comes', async () => {
    const { child, ended } = start(['ingest', '--file', '-', '--endpoint', endpoint, '--protocol', 'http/json']);
    // The second line is bad: its message tells that the first has been read.
    child.stdin.write(`${evaluation('early')}\n{bad\n`);
    await new Promise((resolve) => child.stderr.once('data', resolve));
    child.kill('SIGTERM');
    const result = await ended;
    assert.equal(result.code, 143, result.stderr);
    assert.deepEqual(ids(), ['early']);
  });

  test('a dry run prints the spans and sends none', async () => {
    const result = await run('ingest', '--file', file([evaluation('a')]), '--dry-run', '--endpoint', endpoint);
    assert.equal(JSON.parse(result.stdout).attributes['evalops.contract.version'], 'eval2otel.v1');
    assert.equal(received.length, 0);
  });

  test('wrong usage is told in a line and is exit code 2', async () => {
    const lines = file([evaluation('a')]);
    const wrong: [string[], RegExp][] = [
      [['ingest'], /name the file/], [['ingest', '--file', '/absent'], /no file/], [['send'], /no command send/],
      [['ingest', '--file', lines, '--sample-rate', '2'], /number from 0 to 1/], [['ingest', '--file', lines, '--protocol', 'grpc'], /http\/protobuf or http\/json/],
      [['ingest', '--file', lines, '--redact-pattern', '('], /--redact-pattern/], [['ingest', '--file', lines, '--provider', 'x'], /--provider is one of/], [['--bogus'], /bogus/],
    ];
    for (const [args, message] of wrong) {
      const result = await run(...args);
      assert.equal(result.code, 2, args.join(' '));
      assert.match(result.stderr, message);
    }
  });
});
