// Build tools with a remote cache, against a running Nimbus: Bazel and ccache themselves, and what
// sccache sent when it was recorded (golden/sccache), since no registry of ours has one that speaks
// HTTP: Debian's is built without. SCCACHE_PROGRAM=/path/to/sccache runs that one, too.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { jobToken } from './actions.ts';
import { freePort, Nimbus, root } from './nimbus.ts';
import { type Place, places } from './places.ts';

const run = promisify(execFile);
const bazel = path.join(root, 'tests/node_modules/@bazel/bazel-linux_x64/bazel-2.1.0-linux-x86_64');
const noBazel = existsSync(bazel) ? false : 'no npm packages in tests: run make deps';
const noCcache = existsSync('/usr/bin/ccache') ? false : 'no ccache: run make deps';

let nimbus: Nimbus;
let folder: string;
before(async () => {
  nimbus = await Nimbus.start();
  folder = mkdtempSync(path.join(tmpdir(), 'nimbus-tools-'));
});
after(async () => {
  await nimbus.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('Bazel', { skip: noBazel }, () => {
  const status = async (target: string, token: string, body?: string) => (await nimbus.request(body === undefined ? 'GET' : 'PUT', target, { body, token })).status;

  /** Builds in an output folder of this machine's own; what Bazel says it did. */
  async function build(machine: string, ...flags: string[]): Promise<string> {
    const workspace = path.join(folder, 'workspace');
    mkdirSync(workspace, { recursive: true });
    writeFileSync(path.join(workspace, 'WORKSPACE'), '');
    writeFileSync(path.join(workspace, 'in.txt'), 'built once\n');
    writeFileSync(path.join(workspace, 'BUILD'), 'genrule(name = "upper", srcs = ["in.txt"], outs = ["out.txt"], cmd = "tr a-z A-Z < $< > $@")\n');
    const place = [`--output_user_root=${folder}/bazel`, `--output_base=${folder}/bazel-${machine}`];
    const startup = ['--nosystem_rc', '--nohome_rc', '--batch', '--host_jvm_args=-Xmx256m', ...place];
    const options = ['--color=no', '--curses=no', '--spawn_strategy=local', ...flags];
    const { stderr } = await run(bazel, [...startup, 'build', '//:upper', ...options], { cwd: workspace, env: { PATH: process.env.PATH, HOME: folder } });
    assert.equal(readFileSync(path.join(workspace, 'bazel-bin/out.txt'), 'utf8'), 'BUILT ONCE\n', stderr);
    return stderr;
  }

  test('what one machine built another finds, and another org does not', { timeout: 600_000 }, async () => {
    const token = jobToken(nimbus, { repo: 'bazel' });
    const cache = `${nimbus.url}/cache`;
    const first = await build('one', `--remote_cache=${cache}`, `--remote_header=Authorization=Bearer ${token}`);
    assert.match(first, /1 process: 1 local\./, first);
    // The other way to say who asks, as a pull request that may read what the branch has.
    const fork = jobToken(nimbus, { repo: 'bazel', writes: 'refs/nimbus/fork/2/main', trust: 'fork' });
    const second = await build('two', `--remote_cache=${cache.replace('://', `://job:${fork}@`)}`, '--remote_upload_local_results=false');
    assert.match(second, /1 process: 1 remote cache hit\./, second);
    const theirs = jobToken(nimbus, { org: 'evil', repo: 'bazel' });
    const third = await build('three', `--remote_cache=${cache}`, `--remote_header=Authorization=Bearer ${theirs}`);
    assert.match(third, /1 process: 1 local\./, third);
  });

  test('bytes that are not what their name says are refused, at each address of the cache', async () => {
    const token = jobToken(nimbus, { repo: 'forged' });
    for (const address of ['/cas', '/cache/cas', '/cache/any/prefix/cas']) {
      const result = `result at ${address}`;
      const key = `${address}/${createHash('sha256').update(result).digest('hex')}`;
      assert.equal(await status(key, token, 'forged'), 400, address);
      assert.equal(await status(key, token), 404, address);
      assert.equal(await status(key, token, result), 201, address);
      assert.equal(await status(key, token), 200, address);
    }
    const empty = createHash('sha256').update('').digest('hex');
    assert.equal(await status(`/cas/${empty}`, token, ''), 201, 'Bazel uploads an empty file, too');
  });
});

for (const [where, open] of places) describe(`ccache, with blobs ${where}`, { skip: noCcache }, () => {
  let place: Place;
  let nimbus: Nimbus;
  before(async () => {
    place = await open();
    nimbus = await Nimbus.start({ config: place.config });
  });
  after(async () => {
    await nimbus.stop();
    await place.close();
  });
  const ways: Record<string, (token: string) => string> = {
    'its token as a password': (token) => `${nimbus.url.replace('://', `://job:${token}@`)}/cache/ccache`,
    'a Bearer token': (token) => `${nimbus.url}/cache/ccache|bearer-token=${token}`,
    'the layout bazel': (token) => `${nimbus.url}/cache|bearer-token=${token}|layout=bazel`,
    'the layout flat': (token) => `${nimbus.url}/cache/flat|bearer-token=${token}|layout=flat`,
  };
  for (const [way, storage] of Object.entries(ways)) {
    test(`hits what another machine compiled, with ${way}`, async () => {
      const name = `${way} ${where}`.replace(/\W/g, '-');
      const token = jobToken(nimbus, { repo: `ccache-${name}` });
      const work = path.join(folder, name);
      mkdirSync(work);
      writeFileSync(path.join(work, 'a.c'), 'int answer(void) { return 42; }\n');
      // Not synchronously: the bucket lives in this process.
      const compile = async (machine: string) => {
        const env = {
          PATH: process.env.PATH,
          HOME: work,
          CCACHE_DIR: path.join(work, machine),
          CCACHE_CONFIGPATH: '/dev/null',
          CCACHE_REMOTE_STORAGE: storage(token),
          CCACHE_REMOTE_ONLY: 'true',
        };
        await run('ccache', ['gcc', '-c', 'a.c', '-o', `${machine}.o`], { cwd: work, env });
        return (await run('ccache', ['--print-stats'], { cwd: work, env })).stdout;
      };
      assert.match(await compile('one'), /^remote_storage_hit\t0$/m);
      const second = await compile('two');
      assert.match(second, /^remote_storage_hit\t[1-9]/m, second);
      assert.match(second, /^remote_storage_error\t0$/m, second);
    });
  }
});

interface Exchange {
  method: string;
  path: string;
  headers: Record<string, string>;
  body?: string;
  status: number;
}

/** A text field of a protobuf message of small fields, as the cache service answers. */
function textField(message: Buffer, number: number): string {
  for (let at = 0; at < message.length; ) {
    const key = message[at++];
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      value |= (message[at] & 0x7f) << shift;
      if (message[at++] < 0x80) break;
    }
    if ((key & 7) !== 2) continue;
    if (key >> 3 === number) return message.subarray(at, at + value).toString();
    at += value;
  }
  return '';
}

describe('sccache as it was recorded', () => {
  /** Sends the requests of a recording again, in their order; the bytes that came for each. */
  async function replay(name: string, token: string): Promise<{ exchange: Exchange; answer: Response; bytes: Buffer }[]> {
    const recording: { runs: Exchange[][] } = JSON.parse(readFileSync(path.join(root, `tests/golden/sccache/${name}.json`), 'utf8'));
    const done = [];
    let signed = '';
    for (const exchange of recording.runs.flat()) {
      // A signed URL is the one that the answer before it named.
      const isSigned = exchange.path.startsWith('/blobs/');
      const url = isSigned ? signed : nimbus.url + exchange.path;
      const headers = isSigned ? exchange.headers : { ...exchange.headers, authorization: `Bearer ${token}` };
      const body = exchange.body === undefined ? undefined : Buffer.from(exchange.body, 'base64');
      const answer = await fetch(url, { method: exchange.method, headers, body });
      const bytes = Buffer.from(await answer.arrayBuffer());
      assert.equal(answer.status, exchange.status, `${exchange.method} ${exchange.path}: ${bytes}`);
      if (answer.headers.get('content-type') === 'application/protobuf') signed = textField(bytes, 2);
      done.push({ exchange, answer, bytes });
    }
    return done;
  }

  for (const name of ['webdav', 'webdav_0.7']) {
    test(`over WebDAV (${name}): what the first run stored the second one gets`, async () => {
      const done = await replay(name, jobToken(nimbus, { repo: name }));
      for (const { bytes } of done.filter(({ exchange }) => exchange.status === 207)) {
        assert.match(bytes.toString(), /<D:resourcetype.*<D:getlastmodified>\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT</);
      }
      const put = done.findLast(({ exchange }) => exchange.method === 'PUT' && !exchange.path.endsWith('check'));
      const got = done.at(-1);
      assert.equal(got?.exchange.path, put?.exchange.path);
      assert.equal(got?.bytes.toString('base64'), put?.exchange.body);
    });
  }

  test('over the Actions cache, in protobuf: what the first run stored the second one gets', async () => {
    const done = await replay('actions', jobToken(nimbus, { repo: 'actions' }));
    for (const { answer } of done.filter(({ exchange }) => exchange.path.startsWith('/twirp/') && exchange.status === 200)) {
      assert.equal(answer.headers.get('content-type'), 'application/protobuf');
    }
    const put = done.findLast(({ exchange }) => exchange.method === 'PUT');
    assert.equal(done.at(-1)?.bytes.toString('base64'), put?.exchange.body);
  });

  const program = process.env.SCCACHE_PROGRAM;
  const backends = {
    WebDAV: (token: string) => ({ SCCACHE_WEBDAV_ENDPOINT: `${nimbus.url}/cache`, SCCACHE_WEBDAV_KEY_PREFIX: '/sccache', SCCACHE_WEBDAV_TOKEN: token }),
    'the Actions cache': (token: string) => ({ SCCACHE_GHA_ENABLED: 'true', ACTIONS_CACHE_SERVICE_V2: 'true', ACTIONS_RESULTS_URL: `${nimbus.url}/`, ACTIONS_CACHE_URL: `${nimbus.url}/`, ACTIONS_RUNTIME_TOKEN: token }),
  };
  for (const [name, settings] of program ? Object.entries(backends) : []) {
    test(`itself, over ${name}`, async () => {
      const env = { PATH: process.env.PATH, HOME: folder, SCCACHE_CONF: '/dev/null', SCCACHE_SERVER_PORT: `${await freePort()}`, ...settings(jobToken(nimbus, { repo: `real-${name.length}` })) };
      const source = path.join(folder, 'real.c');
      writeFileSync(source, 'int real(void) { return 1; }\n');
      const compile = async () => {
        await run(program as string, ['gcc', '-c', source, '-o', `${source}.o`], { env });
        const { stdout } = await run(program as string, ['--show-stats', '--stats-format=json'], { env });
        await run(program as string, ['--stop-server'], { env });
        const { stats } = JSON.parse(stdout);
        assert.equal(stats.cache_write_errors, 0, stdout);
        return Object.values(stats.cache_hits.counts as Record<string, number>)[0] ?? 0;
      };
      assert.equal(await compile(), 0);
      assert.equal(await compile(), 1);
    });
  }
});
