// The registry with the clients people use: skopeo and buildah, from this machine and from inside a
// microVM through its gateway; and the requests they were recorded to send, sent again.
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { canBoot, Nimbus, root } from './nimbus.ts';
import { type Place, places } from './places.ts';
import { blobOf, describes, digestOf, Repository, tokenOf, types } from './registry.ts';

const clients = () => (['skopeo', 'buildah'].every((name) => existsSync(`/usr/bin/${name}`)) ? false : 'skopeo and buildah are not installed: scripts/install-deps');

interface Ran {
  code: number;
  output: string;
}

/** Storage, credentials and run-time files of the clients, away from the machine's own. */
class Workshop {
  readonly dir = mkdtempSync(path.join(tmpdir(), 'nimbus-clients-'));
  private readonly env: NodeJS.ProcessEnv;

  constructor() {
    for (const name of ['run', 'context']) mkdirSync(path.join(this.dir, name));
    writeFileSync(path.join(this.dir, 'policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}');
    writeFileSync(path.join(this.dir, 'storage.conf'), `[storage]\ndriver = "vfs"\ngraphroot = "${this.dir}/graph"\nrunroot = "${this.dir}/runroot"\n`);
    this.env = {
      ...process.env,
      XDG_RUNTIME_DIR: path.join(this.dir, 'run'),
      REGISTRY_AUTH_FILE: path.join(this.dir, 'auth.json'),
      CONTAINERS_STORAGE_CONF: path.join(this.dir, 'storage.conf'),
      STORAGE_DRIVER: 'vfs',
      BUILDAH_ISOLATION: 'chroot',
    };
  }

  run(command: string, args: string[], input = ''): Promise<Ran> {
    return new Promise((resolve) => {
      const child = execFile(command, args, { env: this.env, timeout: 120_000, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
        resolve({ code: error ? Number((error as { code?: number }).code ?? -1) : 0, output: stdout + stderr });
      });
      child.stdin?.end(input);
    });
  }

  async must(command: string, args: string[], input = ''): Promise<string> {
    const ran = await this.run(command, args, input);
    assert.equal(ran.code, 0, `${command} ${args.join(' ')}:\n${ran.output}`);
    return ran.output;
  }

  skopeo(...args: string[]): Promise<string> {
    return this.must('skopeo', ['--policy', path.join(this.dir, 'policy.json'), ...args]);
  }

  /** buildah with a storage of its own: what another has built is not there. */
  buildah(storage: string, ...args: string[]): Promise<string> {
    return this.must('buildah', ['--root', `${this.dir}/${storage}`, '--runroot', `${this.dir}/${storage}-run`, ...args]);
  }

  remove() {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

for (const [where, open] of places) describe(`skopeo and buildah on this machine, with blobs ${where}`, { skip: clients() }, () => {
  let place: Place;
  let nimbus: Nimbus;
  let workshop: Workshop;
  let host: string;
  before(async () => {
    place = await open();
    nimbus = await Nimbus.start({ config: place.config });
    workshop = new Workshop();
    host = `127.0.0.1:${nimbus.port}`;
    await workshop.must('skopeo', ['login', '--tls-verify=false', '-u', 'anyone', '--password-stdin', host], await tokenOf(nimbus, 'acme'));
    writeFileSync(path.join(workshop.dir, 'context/payload'), blobOf(3 << 20));
    writeFileSync(path.join(workshop.dir, 'context/Containerfile'), 'FROM scratch\nCOPY payload /payload\nLABEL a=b\nCOPY Containerfile /Containerfile\n');
  });
  after(async () => {
    await nimbus.stop();
    await place.close();
    workshop.remove();
  });

  const build = (storage: string) =>
    workshop.buildah(storage, 'build', '--tls-verify=false', '--layers', '--cache-to', `${host}/acme/app-cache`, '--cache-from', `${host}/acme/app-cache`, '-t', `${host}/acme/app:1`, path.join(workshop.dir, 'context'));

  test('a second build finds every layer in the cache of the first', async () => {
    assert.match(await build('one'), /Pushing cache/);
    await nimbus.end('SIGKILL');
    place.forgetNear(nimbus);
    await nimbus.boot();
    const second = await build('two');
    assert.equal(second.match(/Cache pulled from remote/g)?.length, 3, second);
    assert.doesNotMatch(second, /Pushing cache/);
  });

  test('push, list, copy to another repository, read back, delete', async () => {
    await workshop.buildah('two', 'push', '--tls-verify=false', `${host}/acme/app:1`);
    assert.deepEqual(JSON.parse(await workshop.skopeo('list-tags', '--tls-verify=false', `docker://${host}/acme/app`)).Tags, ['1']);
    const tls = ['--src-tls-verify=false', '--dest-tls-verify=false'];
    await workshop.skopeo('copy', ...tls, `docker://${host}/acme/app:1`, `docker://${host}/acme/copy:2`);
    await workshop.skopeo('copy', '--src-tls-verify=false', `docker://${host}/acme/copy:2`, `dir:${workshop.dir}/out`);
    const manifest = JSON.parse(readFileSync(path.join(workshop.dir, 'out/manifest.json'), 'utf8'));
    for (const layer of manifest.layers) {
      assert.equal(digestOf(readFileSync(path.join(workshop.dir, 'out', layer.digest.slice(7)))), layer.digest);
    }
    await workshop.skopeo('delete', '--tls-verify=false', `docker://${host}/acme/copy:2`);
    assert.deepEqual(JSON.parse(await workshop.skopeo('list-tags', '--tls-verify=false', `docker://${host}/acme/copy`)).Tags, []);
    await workshop.skopeo('inspect', '--tls-verify=false', `docker://${host}/acme/app:1`);
  });

  test('another org’s repository is neither read nor written', async () => {
    const push = await workshop.run('buildah', ['--root', `${workshop.dir}/two`, '--runroot', `${workshop.dir}/two-run`, 'push', '--tls-verify=false', `${host}/acme/app:1`, `docker://${host}/evil/app:1`]);
    assert.notEqual(push.code, 0);
    const pull = await workshop.run('skopeo', ['inspect', '--tls-verify=false', `docker://${host}/evil/app:1`]);
    assert.notEqual(pull.code, 0);
  });
});

describe('recorded clients', () => {
  interface Exchange {
    request: { method: string; target: string; headers: Record<string, string>; body_bytes: number };
    response: { status: number };
  }
  // Recorded with skopeo and buildah against another registry; see the file's own note.
  const recorded = JSON.parse(readFileSync(path.join(root, 'tests/golden/registry/clients.json'), 'utf8')).scenarios as { scenario: string; exchanges: Exchange[] }[];

  test('every push that was recorded gets the answers that were recorded, with bytes of its own', async () => {
    const nimbus = await Nimbus.start();
    try {
      const pushes = recorded.filter(({ scenario, exchanges }) => /push to an empty/.test(scenario) && exchanges.length > 0);
      assert.ok(pushes.length > 0);
      for (const { scenario, exchanges } of pushes) {
        // The digests recorded are of bytes we have not got: each stands for one of the same size.
        const sizes = new Map<string, number>();
        for (const [index, { request }] of exchanges.entries()) {
          const digest = /digest=(sha256%3A[0-9a-f]+)/.exec(request.target)?.[1];
          if (digest) sizes.set(decodeURIComponent(digest), exchanges[index - 1].request.body_bytes);
        }
        const bodies = new Map([...sizes].map(([digest, size]) => [digest, blobOf(size)]));
        const repository = new Repository(nimbus, 'acme/recorded');
        let session = '';
        let sent = 0;
        const queue = [...bodies.keys()];
        for (const { request, response } of exchanges) {
          const own = request.target.replace(/sha256(:|%3A)([0-9a-f]{64})/g, (_, colon, hex) => digestOf(bodies.get(`sha256:${hex}`) ?? '').replace(':', colon));
          let target = own.replace(/^\/v2\/[^/]+\/[^/]+\//, '');
          if (/uploads\/.+/.test(target)) target = session + (/digest=/.test(target) ? `?${/digest=[^&]+/.exec(target)?.[0]}` : '');
          const isManifest = /manifests/.test(target);
          const layers = [...bodies.values()];
          const manifest = JSON.stringify({ schemaVersion: 2, mediaType: types.manifest, config: describes(layers.at(-1) ?? '', types.config), layers: layers.slice(0, -1).map((bytes) => describes(bytes, types.layer)) });
          const body = isManifest ? manifest : request.method === 'PATCH' ? bodies.get(queue[sent++]) : undefined;
          const { 'content-length': _, ...headers } = request.headers;
          const reply = await repository.ask(request.method, target, { body, headers });
          assert.equal(reply.status, response.status, `${scenario}: ${request.method} ${target}`);
          if (reply.status === 202) session = reply.headers.location ?? '';
        }
      }
    } finally {
      await nimbus.stop();
    }
  });
});

/** The clients and the libraries they need beyond what the base image has, as one archive. */
function toolbox(): Buffer {
  const programs = ['/usr/bin/skopeo', '/usr/bin/buildah'];
  const libraries = new Set<string>();
  for (const program of programs) {
    for (const [, file] of execFileSync('ldd', [program]).toString().matchAll(/=> (\/\S+)/g)) {
      if (!/\/(libc|libm|libpthread|libdl|ld-linux[^/]*)\.so/.test(file)) libraries.add(file);
    }
  }
  return execFileSync('tar', ['--dereference', '--transform', 's,.*/,,', '-cf', '-', ...programs, ...libraries], { maxBuffer: 512 << 20, stdio: ['ignore', 'pipe', 'ignore'] });
}

describe('skopeo and buildah inside a microVM', { skip: canBoot() || clients() }, () => {
  let nimbus: Nimbus;
  let tools: string;
  before(async () => {
    nimbus = await Nimbus.start({ agent: true, config: '[agent]\nslots = 1\n' });
    tools = await new Repository(nimbus, 'acme/tools').push(toolbox());
  });
  after(() => nimbus.stop());

  const prepare = () => `
    set -e
    mkdir -p /home/runner/tools && cd /home/runner/tools
    curl -sSf http://gateway.nimbus/v2/acme/tools/blobs/${tools} | tar x
    export LD_LIBRARY_PATH=$PWD HOME=/root XDG_RUNTIME_DIR=/tmp STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
    mkdir -p /etc/containers && echo '{"default":[{"type":"insecureAcceptAnything"}]}' > /etc/containers/policy.json
    printf '[storage]\\ndriver = "vfs"\\ngraphroot = "/var/lib/containers"\\nrunroot = "/run/containers"\\n' > /etc/containers/storage.conf
    echo 'unqualified-search-registries = []' > /etc/containers/registries.conf
    mkdir /tmp/context && cd /tmp/context
    printf 'FROM scratch\\nCOPY payload /payload\\nCOPY Containerfile /Containerfile\\n' > Containerfile
    seq 1 3000000 > payload && touch -d @0 payload Containerfile
    build() { /home/runner/tools/buildah build --tls-verify=false --layers --cache-to gateway.nimbus/acme/vm-cache --cache-from gateway.nimbus/acme/vm-cache -t gateway.nimbus/acme/vm:1 . 2>&1; }
  `;
  const job = async (script: string) => {
    const result = await nimbus.cli(['run', '--org', 'acme', '--repo', 'app', '--cpus', '2', '--memory', '2048', '--', 'sudo', 'sh', '-c', prepare() + script]);
    assert.equal(result.code, 0, result.stdout + result.stderr);
    return result.stdout;
  };

  test('a job builds, fills the layer cache and pushes; the next job builds from that cache and copies', async () => {
    const first = await job('build && /home/runner/tools/buildah push --tls-verify=false gateway.nimbus/acme/vm:1 2>&1');
    assert.match(first, /Pushing cache/);
    const second = await job(`
      build
      /home/runner/tools/skopeo copy --src-tls-verify=false --dest-tls-verify=false docker://gateway.nimbus/acme/vm:1 docker://gateway.nimbus/acme/vm-copy:2 2>&1
      /home/runner/tools/skopeo list-tags --tls-verify=false docker://gateway.nimbus/acme/vm-copy
      /home/runner/tools/skopeo copy --dest-tls-verify=false docker://gateway.nimbus/acme/vm:1 docker://gateway.nimbus/evil/vm:1 2>&1 && echo reached another org || true`);
    assert.equal(second.match(/Cache pulled from remote/g)?.length, 2, second);
    assert.doesNotMatch(second, /Pushing cache|reached another org/);
    const repository = new Repository(nimbus, 'acme/vm-copy');
    const manifest = (await repository.ask('GET', 'manifests/2')).json;
    for (const layer of manifest.layers) {
      const pulled = await repository.ask('GET', `blobs/${layer.digest}`);
      assert.equal(digestOf(pulled.body), layer.digest);
    }
    assert.equal((await new Repository(nimbus, 'evil/vm').ask('GET', 'tags/list')).status, 404);
  });

  test('a job pushes a blob of 100 MB in one request, and reads it back', async () => {
    const script = `
      head -c 100000000 /dev/urandom > /tmp/big
      digest=sha256:$(sha256sum /tmp/big | cut -d' ' -f1)
      location=$(curl -sSf -i -X POST http://gateway.nimbus/v2/acme/big/blobs/uploads/ | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p')
      curl -sSf -T /tmp/big "http://gateway.nimbus$location?digest=$digest"
      curl -sSf http://gateway.nimbus/v2/acme/big/blobs/$digest | sha256sum | grep -q "\${digest#sha256:}"
      echo whole $digest`;
    const digest = /whole (sha256:[0-9a-f]{64})/.exec(await job(script))?.[1] ?? '';
    assert.equal((await new Repository(nimbus, 'acme/big').ask('HEAD', `blobs/${digest}`)).headers['content-length'], '100000000');
  });

  test('a job runs in an image that only the registry has, and another org’s job does not', async () => {
    const archive = path.join(root, 'build/images/base.oci.tar');
    const workshop = new Workshop();
    try {
      await workshop.must('skopeo', ['login', '--tls-verify=false', '-u', 'anyone', '--password-stdin', `127.0.0.1:${nimbus.port}`], nimbus.token);
      await workshop.skopeo('copy', '-q', '--dest-tls-verify=false', `oci-archive:${archive}`, `docker://127.0.0.1:${nimbus.port}/acme/own:2`);
    } finally {
      workshop.remove();
    }
    const run = (org: string, image: string) => nimbus.cli(['run', '--org', org, '--repo', 'app', '--image', image, '--cpus', '1', '--memory', '512', '--', 'id', '-un']);
    const own = await run('acme', 'acme/own:2');
    assert.equal(own.code, 0, own.stdout + own.stderr);
    assert.equal(own.stdout, 'runner\n');
    assert.equal((await run('acme', 'acme/own:2')).code, 0, 'a second time, from this host');
    const foreign = await run('evil', 'acme/own:2');
    assert.notEqual(foreign.code, 0);
    assert.match(foreign.stderr, /acme\/own/);
  });
});
