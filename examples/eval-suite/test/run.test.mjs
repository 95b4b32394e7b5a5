// The suite as a job runs it: a process, its exit code, its lines and its spans.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startModelServer } from '../../model-server/server.mjs';

const root = path.resolve(import.meta.dirname, '..');

describe('the eval suite', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'eval-suite-'));
  const bodies = [];
  const collector = http.createServer(async (request, response) => {
    bodies.push(JSON.parse(Buffer.concat(await request.toArray()).toString()));
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  let endpoint;

  before(async () => {
    await new Promise((resolve) => collector.listen(0, '127.0.0.1', resolve));
    endpoint = `http://127.0.0.1:${collector.address().port}`;
  });
  after(() => {
    collector.close();
    rmSync(folder, { recursive: true });
  });

  const start = (args = [], env = {}) => {
    bodies.length = 0;
    const child = spawn(process.execPath, ['run.mjs', ...args], { cwd: root, env: { PATH: process.env.PATH, ...env } });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (data) => { output.stdout += data; });
    child.stderr.on('data', (data) => { output.stderr += data; });
    const ended = new Promise((resolve) => child.on('close', (code) => resolve({ code, ...output })));
    return { child, ended };
  };
  const run = (args, env) => start(args, env).ended;
  const spans = () => bodies.flatMap((body) => body.resourceSpans.flatMap((r) => r.scopeSpans.flatMap((s) => s.spans)));
  const attributes = (span) => Object.fromEntries(span.attributes.map(({ key, value }) => [key, Object.values(value)[0]]));
  const toCollector = () => ({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' });

  test('passes on the demo model, which it names, with a line per case and a summary', async () => {
    const { code, stdout } = await run();
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^model server: nimbus demo model \(deterministic, not a language model\)$/m);
    assert.equal(stdout.match(/^case \d\d .* (PASS|FAIL) {2}score \d\.\d\d {2}\d+→\d+ tokens {2}\d+ ms/gm).length, 22);
    assert.match(stdout, /^case 04 precedence +FAIL {2}score 0\.00 .*\(20 is not 14\)$/m);
    assert.match(stdout, /^score 0\.91 \(20\/22 passed\), threshold 0\.80: PASS$/m);
  });

  test('sends a span per case with what a dashboard needs, and no text', async () => {
    const env = { ...toCollector(), NIMBUS_JOB_ID: '12', OTEL_RESOURCE_ATTRIBUTES: 'nimbus.job.id=12,service.name=from-env' };
    const { code, stdout } = await run([], env);
    assert.equal(code, 0);
    assert.match(stdout, /^spans: 23 sent$/m);
    const cases = spans().filter((span) => span.name === 'gen_ai.chat');
    assert.equal(cases.length, 22);
    const whole = spans().find((span) => span.name === 'eval suite everyday-tasks');
    assert.ok(Object.keys(attributes(whole)).every((name) => !/^(eval|evalops|gen_ai)\./.test(name)), 'the run is no case');
    const found = cases.map(attributes).find((span) => span['evalops.case.id'] === 'precedence');
    assert.equal(found['evalops.run.id'], 'job-12');
    assert.equal(found['evalops.eval.id'], 'job-12/precedence');
    assert.equal(found['evalops.dataset.id'], 'everyday-tasks');
    assert.equal(found['gen_ai.evaluation.name'], 'number');
    assert.equal(found['eval.metric.name'], 'number');
    assert.equal(found['gen_ai.evaluation.score.value'], 0);
    assert.equal(found['gen_ai.evaluation.score.label'], 'fail');
    assert.equal(found['gen_ai.request.model'], 'nimbus-demo');
    assert.equal(found['gen_ai.provider.name'], 'ollama');
    assert.equal(found['gen_ai.usage.input_tokens'], 17);
    assert.equal(found['gen_ai.usage.output_tokens'], 1);
    const resource = attributes(bodies[0].resourceSpans[0].resource);
    assert.equal(resource['nimbus.job.id'], '12');
    assert.equal(new Set(spans().map((span) => span.traceId)).size, 1);
    assert.ok(!JSON.stringify(bodies).includes('strawberry'));
  });

  test('fails with exit code 1 below the threshold', async () => {
    const { code, stdout } = await run(['--threshold', '0.95']);
    assert.equal(code, 1);
    assert.match(stdout, /threshold 0\.95: FAIL$/m);
  });

  test('a collector that is away changes nothing but a line', async () => {
    const { code, stderr } = await run(['--only', 'multiply'], { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' });
    assert.equal(code, 0);
    assert.match(stderr, /^spans: 0 sent to http:\/\/127\.0\.0\.1:9, the others not: .*ECONNREFUSED/m);
  });

  test('asks the server of OLLAMA_HOST, and chooses its model', async () => {
    const server = await startModelServer();
    const { code, stdout } = await run(['--only', 'multiply'], { OLLAMA_HOST: server.url });
    await server.close();
    assert.equal(code, 0, stdout);
    assert.ok(stdout.includes(`model server: ${server.url}`));
    assert.match(stdout, /^model: nimbus-demo:latest$/m);
  });

  test('a missing model, server, suite or case is exit code 2 and says what to do', async () => {
    const unreachable = { OLLAMA_HOST: 'http://127.0.0.1:9' };
    const wrong = [
      [['--model', 'big'], {}, /model big is not on .*hint: ollama pull big/s], [[], { NIMBUS_PARAM_MODEL: 'big' }, /model big is not on/],
      [[], unreachable, /does not answer: .*hint: check OLLAMA_HOST/s], [['--suite', '/absent.json'], {}, /absent\.json/],
      [['--only', 'nothing'], {}, /has no case nothing/], [['--threshold', 'x'], {}, /threshold x/], [['--bogus'], {}, /bogus.*hint: options/s],
    ];
    for (const [args, env, message] of wrong) {
      const { code, stderr } = await run(args, env);
      assert.equal(code, 2, `${args}`);
      assert.match(stderr, message);
    }
  });

  test('a request that fails is a failed case, not a crash', async () => {
    const server = http.createServer((request, response) => {
      if (request.url === '/api/tags') response.end('{"models":[{"name":"m"}]}');
      else response.writeHead(500).end('{"error":"out of memory"}');
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { code, stdout } = await run(['--only', 'multiply'], { OLLAMA_HOST: `http://127.0.0.1:${server.address().port}`, ...toCollector() });
    server.close();
    assert.equal(code, 1);
    assert.match(stdout, /multiply {2}FAIL {2}score 0\.00 .*out of memory/);
    const failed = spans().find((span) => span.name === 'gen_ai.chat');
    assert.equal(attributes(failed)['error.type'], 'request_failed');
  });

  test('--results keeps the evaluations as lines that eval2otel-cli takes', async () => {
    const results = path.join(folder, 'results.jsonl');
    await run(['--only', 'multiply', '--results', results]);
    const [line, ...others] = readFileSync(results, 'utf8').trim().split('\n');
    assert.equal(others.length, 0);
    assert.equal(JSON.parse(line).evaluation.label, 'pass');
  });

  test('SIGTERM stops after the running case and still sends what there is', async () => {
    const cases = Array.from({ length: 5000 }, (_, i) => ({ id: `c${i}`, prompt: 'What is 1 + 1?', scorer: { type: 'number', expected: 2 } }));
    writeFileSync(path.join(folder, 'long.json'), JSON.stringify({ name: 'long', threshold: 0, cases }));
    const { child, ended } = start(['--suite', path.join(folder, 'long.json')], toCollector());
    await new Promise((resolve) => child.stdout.on('data', (data) => String(data).includes('case 01') && resolve()));
    child.kill('SIGTERM');
    const { code, stderr } = await ended;
    assert.equal(code, 1);
    assert.match(stderr, /^stopped after \d+ of 5000 cases$/m);
    assert.ok(spans().length > 0);
  });
});
