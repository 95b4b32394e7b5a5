// The Actions clients inside a microVM, through the gateway, with nothing but the job's environment.
import assert from 'node:assert/strict';
import { build } from 'esbuild';
import { after, before, describe, test } from 'node:test';
import path from 'node:path';
import { hasClients, outcomes, type Step } from './actions.ts';
import { canBoot, Nimbus, root, until } from './nimbus.ts';

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

  const MiB = 1 << 20;
  const size = 300 * MiB;
  // Emulated processors take their time; a job that takes longer has a fault.
  const timeout = 1_200_000;

  /** Queues a job that runs one client for each list of steps, all of them at once. */
  async function start(...clients: Step[][]): Promise<number> {
    const env = Object.fromEntries(clients.map((steps, i) => [`STEPS_${i}`, JSON.stringify(steps)]));
    const runs = clients.map((_, i) => `(mkdir -p ${i} && cd ${i} && GITHUB_WORKSPACE=$PWD RUNNER_TEMP=$PWD/temp node ../client.mjs "$STEPS_${i}" > ../${i}.log 2>&1) &`);
    const answer = await nimbus.post('/api/v1/jobs', {
      org: 'acme',
      repo: 'app',
      ref: 'refs/heads/main',
      image: 'nimbus/ai-eval-runner',
      command: ['sh', '-c', `${fetchClient} && { ${runs.join(' ')} wait; cat *.log; }`],
      env,
      resources: { cpus: 2, memory_mb: 2048, disk_mb: 4096 },
      timeout_s: 900,
    });
    assert.equal(answer.status, 201, answer.text);
    return answer.json.id;
  }

  async function inside(...clients: Step[][]) {
    const id = await start(...clients);
    const job = await nimbus.finished(id, 900);
    const output = (await nimbus.lines(id)).map(({ text }) => text).join('\n');
    assert.equal(job.state, 'succeeded', `${job.reason}\n${output}`);
    const results = outcomes(output);
    assert.equal(results.length, clients.flat().length, output);
    return { values: results.map(({ value }) => value), output };
  }

  const openUploads = async () => Number(/^nimbus_cache_open_uploads (\d+)/m.exec((await nimbus.get('/metrics', { token: null })).text)?.[1] ?? 0);

  test('300 MB of cache are saved in parts by one job and restored by prefix in another', { timeout }, async () => {
    const saved = await inside([
      { step: 'make', file: 'data/big', size },
      { step: 'hash', file: 'data/big' },
      { step: 'save', paths: ['data'], key: 'vm-1' },
    ]);
    assert.ok(saved.values[2] > 0, saved.output);
    const restored = await inside([
      { step: 'restore', paths: ['data'], key: 'vm-2', restoreKeys: ['other-', 'vm-'] },
      { step: 'hash', file: 'data/big' },
    ]);
    assert.deepEqual(restored.values, ['vm-1', saved.values[1]], restored.output);
  });

  test('300 MB of artifact go up in parts and come down whole', { timeout }, async () => {
    const moved = await inside([
      { step: 'make', file: 'out/big', size },
      { step: 'hash', file: 'out/big' },
      { step: 'write', file: 'out/a.txt', text: 'from a VM' },
      // What does not compress is not worth an emulated processor's minutes.
      { step: 'upload', name: 'results', files: ['out/a.txt', 'out/big'], root: 'out', compressionLevel: 0 },
      { step: 'download', name: 'results', to: 'got' },
      { step: 'read', file: 'got/a.txt' },
      { step: 'hash', file: 'got/big' },
    ]);
    assert.ok(moved.values[3]?.id > 0 && moved.values[3].size > size, moved.output);
    assert.equal(moved.values[4].digestMismatch, false, moved.output);
    assert.deepEqual(moved.values.slice(5), ['from a VM', moved.values[1]], moved.output);
    const [listed] = (await nimbus.get('/api/v1/artifacts?org=acme&name=results')).json.items;
    assert.equal(listed.size_bytes, moved.values[3].size);
  });

  test('a save that is cancelled half-way leaves nothing, and of two that save its key next one wins', { timeout }, async () => {
    const id = await start([
      { step: 'make', file: 'data/big', size: 120 * MiB, seed: 'cancelled' },
      { step: 'save', paths: ['data'], key: 'half' },
    ]);
    await until('the upload to have begun', async () => (await openUploads()) > 0, 600);
    assert.equal((await nimbus.post(`/api/v1/jobs/${id}/cancel`, {})).status, 202);
    assert.equal((await nimbus.finished(id, 120)).state, 'cancelled');
    assert.deepEqual((await nimbus.get('/api/v1/caches?org=acme&key=half')).json.items, []);
    const steps = (seed: string): Step[] => [
      { step: 'make', file: 'data/big', size: 20 * MiB, seed },
      { step: 'hash', file: 'data/big' },
      { step: 'save', paths: ['data'], key: 'half' },
    ];
    const { values, output } = await inside(steps('one'), steps('two'));
    const won = [values.slice(0, 3), values.slice(3)].filter(([, , saved]) => saved > 0);
    assert.equal(won.length, 1, output);
    const restored = await inside([{ step: 'restore', paths: ['data'], key: 'half' }, { step: 'hash', file: 'data/big' }]);
    assert.deepEqual(restored.values, ['half', won[0][1]], restored.output);
  });

  test('build tools need no credential: what Bazel, ccache and sccache send passes the gateway', { timeout }, async () => {
    const script = `
      set -e
      echo result > result
      hash=$(sha256sum result | cut -d' ' -f1)
      put() { curl -sS -o /dev/null -w '%{http_code} ' -T result "$1"; }
      for key in cache/ac/$hash cache/cas/$hash cache/ccache/aa/b cache/sccache/a/b/c; do put "$NIMBUS_GATEWAY/$key"; done
      put "$NIMBUS_GATEWAY/cache/cas/$(echo other | sha256sum | cut -d' ' -f1)"
      curl -sSf "$NIMBUS_GATEWAY/cas/$hash" | cmp - result
      curl -sSf -X PROPFIND -H 'Depth: 0' "$NIMBUS_GATEWAY/cache/sccache/a/" | grep -o '<D:collection/>'
      service=twirp/github.actions.results.api.v1.CacheService
      printf '\\022\\003key\\042\\001v' > message
      curl -sSf -o /dev/null -w '%{content_type}\n' -H 'Content-Type: application/protobuf' --data-binary @message "$ACTIONS_RESULTS_URL$service/GetCacheEntryDownloadURL"`;
    const ran = await nimbus.cli(['run', '--org', 'acme', '--repo', 'tools', '--cpus', '1', '--memory', '512', '--', 'sh', '-c', script]);
    assert.equal(ran.code, 0, ran.stdout + ran.stderr);
    assert.equal(ran.stdout, '201 201 201 201 400 <D:collection/>\napplication/protobuf\n', ran.stderr);
  });
});
