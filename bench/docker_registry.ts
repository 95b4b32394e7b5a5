// Debian's docker-registry beside ours, for the benchmarks: its own storage, its own way of
// authentication (htpasswd, at the cost that htpasswd writes by default).
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freePort, until } from '../tests/flow/nimbus.ts';

export class DockerRegistry {
  static readonly user = 'bench';
  static readonly password = 'bench-password';
  readonly url: string;
  readonly host: string;
  private readonly dir: string;
  private readonly child: ChildProcess;

  private constructor(dir: string, port: number, child: ChildProcess) {
    this.dir = dir;
    this.child = child;
    this.host = `127.0.0.1:${port}`;
    this.url = `http://${this.host}`;
  }

  static async start({ authenticated = true } = {}): Promise<DockerRegistry> {
    const dir = mkdtempSync(path.join(tmpdir(), 'docker-registry-'));
    const port = await freePort();
    const hash = execFileSync('perl', ['-e', 'print crypt($ARGV[0], q($2y$05$abcdefghijklmnopqrstuu))', DockerRegistry.password]).toString();
    writeFileSync(path.join(dir, 'htpasswd'), `${DockerRegistry.user}:${hash}\n`);
    const auth = authenticated ? `auth:\n  htpasswd:\n    realm: bench\n    path: ${dir}/htpasswd\n` : '';
    writeFileSync(path.join(dir, 'config.yml'), `version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  filesystem:\n    rootdirectory: ${dir}/data\nhttp:\n  addr: 127.0.0.1:${port}\n${auth}`);
    const child = spawn('docker-registry', ['serve', path.join(dir, 'config.yml')], { stdio: 'ignore' });
    const registry = new DockerRegistry(dir, port, child);
    await until('docker-registry to listen', async () => [200, 401].includes((await fetch(`${registry.url}/v2/`)).status));
    return registry;
  }

  get authorization(): string {
    return `Basic ${Buffer.from(`${DockerRegistry.user}:${DockerRegistry.password}`).toString('base64')}`;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill();
    await gone;
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Pushes a blob to either registry; its path. */
export async function pushBlob(url: string, repository: string, authorization: string, bytes: Buffer, digest: string): Promise<string> {
  const begun = await fetch(`${url}/v2/${repository}/blobs/uploads/`, { method: 'POST', headers: { authorization } });
  const location = new URL(begun.headers.get('location') ?? '', url);
  location.searchParams.set('digest', digest);
  const done = await fetch(location, { method: 'PUT', headers: { authorization, 'content-type': 'application/octet-stream' }, body: new Uint8Array(bytes) });
  if (done.status !== 201) throw new Error(`pushing a blob to ${url}: ${done.status} ${await done.text()}`);
  return `/v2/${repository}/blobs/${digest}`;
}
