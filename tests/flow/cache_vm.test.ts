// The Actions clients inside a microVM, through the gateway, with nothing but the job's environment.
import assert from 'node:assert/strict';
import { build } from 'esbuild';
import { after, before, describe, test } from 'node:test';
import path from 'node:path';
import { hasClients, outcomes, type Step } from './actions.ts';
import { canBoot, Nimbus, root } from './nimbus.ts';

describe('the Actions clients in a microVM', { skip: canBoot() || hasClients() }, () => {
  let nimbus: Nimbus;
  before(async () => {
    nimbus = await Nimbus.start({ agent: true, config: '[agent]\nslots = 1\n' });
    const bundle = await build({
      entryPoints: [path.join(root, 'tests/flow/actions_client.mjs')],
      bundle: true,
      platform: 'node',
      format: 'esm',
      minify: true,
      write: false,
      // Some of what is bundled is CommonJS and asks for Node's own modules.
      banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
      nodePaths: [path.join(root, 'tests/node_modules')],
    });
    // What an operator puts for the org every job of it can read.
    const put = await nimbus.request('PUT', '/cache/actions_client.mjs?org=acme', { body: Buffer.from(bundle.outputFiles[0].contents), headers: { 'content-type': 'application/octet-stream' } });
    assert.equal(put.status, 201, put.text);
  });
  after(() => nimbus.stop());

  const fetchClient = `node -e "fetch(process.env.NIMBUS_GATEWAY + '/cache/actions_client.mjs').then((r) => r.arrayBuffer()).then((b) => require('fs').writeFileSync('client.mjs', Buffer.from(b)))"`;

  async function inside(steps: Step[]) {
    const answer = await nimbus.post('/api/v1/jobs', {
      org: 'acme',
      repo: 'app',
      ref: 'refs/heads/main',
      image: 'nimbus/ai-eval-runner',
      command: ['sh', '-c', `${fetchClient} && node client.mjs "$STEPS"`],
      env: { STEPS: JSON.stringify(steps), RUNNER_TEMP: '/home/runner/temp', GITHUB_WORKSPACE: '/home/runner/work' },
      resources: { cpus: 2, memory_mb: 2048, disk_mb: 4096 },
      timeout_s: 600,
    });
    assert.equal(answer.status, 201, answer.text);
    const id = answer.json.id;
    const job = await nimbus.finished(id, 600);
    const output = (await nimbus.lines(id)).map(({ text }) => text).join('\n');
    assert.equal(job.state, 'succeeded', `${job.reason}\n${output}`);
    const results = outcomes(output);
    assert.equal(results.length, steps.length, output);
    return { values: results.map(({ value }) => value), output };
  }

  test('a cache is saved by one job and restored by another, in parts over 128 MiB', { timeout: 1_200_000 }, async () => {
    const saved = await inside([
      { step: 'make', file: 'data/big', size: 140 << 20 },
      { step: 'hash', file: 'data/big' },
      { step: 'save', paths: ['data'], key: 'vm-1' },
    ]);
    assert.ok(saved.values[2] > 0, saved.output);
    const restored = await inside([
      { step: 'restore', paths: ['data'], key: 'vm-2', restoreKeys: ['vm-'] },
      { step: 'hash', file: 'data/big' },
    ]);
    assert.deepEqual(restored.values, ['vm-1', saved.values[1]], restored.output);
  });

  test('an artifact goes up and down', { timeout: 1_200_000 }, async () => {
    const moved = await inside([
      { step: 'write', file: 'out/a.txt', text: 'from a VM' },
      { step: 'upload', name: 'results', files: ['out/a.txt'], root: 'out' },
      { step: 'download', name: 'results', to: 'got' },
      { step: 'read', file: 'got/a.txt' },
    ]);
    assert.ok(moved.values[1]?.id > 0, moved.output);
    assert.equal(moved.values[3], 'from a VM', moved.output);
  });
});
