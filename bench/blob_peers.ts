// What the blob benchmarks compare with: nginx on the same files, Debian's docker-registry on the same
// file system. All of them in memory (/dev/shm) where there is such a place, so that a machine's disk,
// whose fsync differs from run to run, does not decide; fsync is called all the same.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { BlobServer, digestOf, scratchFolder } from '../tests/flow/blob_server.ts';
import { freePort, until } from '../tests/flow/nimbus.ts';

export const folder = scratchFolder();
const children: ChildProcess[] = [];
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => http.get({ port, host: '127.0.0.1', path: '/' }, (response) => resolve(Boolean(response.resume()))).on('error', () => resolve(false)));
}

/** nginx with two workers, sendfile and open files kept, over `files`. */
export async function startNginx(files: string): Promise<{ port: number; pids: () => number[] }> {
  const port = await freePort();
  const own = path.join(folder, 'nginx');
  mkdirSync(own, { recursive: true });
  writeFileSync(path.join(own, 'nginx.conf'), `
    daemon off; worker_processes 2; pid ${own}/pid; error_log ${own}/error.log;
    events { worker_connections 1024; }
    http {
      access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;
      open_file_cache max=10000; open_file_cache_valid 60s;
      client_body_temp_path ${own}/body; proxy_temp_path ${own}/proxy; fastcgi_temp_path ${own}/fastcgi; uwsgi_temp_path ${own}/uwsgi; scgi_temp_path ${own}/scgi;
      server { listen 127.0.0.1:${port}; root ${files}; }
    }`);
  const nginx = spawn('/usr/sbin/nginx', ['-c', path.join(own, 'nginx.conf'), '-p', own, '-g', `user root;`], { stdio: 'ignore' });
  children.push(nginx);
  await until('nginx to listen', () => answers(port));
  const pids = () => [nginx.pid as number, ...spawnSync('pgrep', ['-P', `${nginx.pid}`], { encoding: 'utf8' }).stdout.trim().split('\n').map(Number)];
  return { port, pids };
}

/** docker-registry as Debian packages it, without authentication. */
export async function startRegistry(): Promise<{ port: number; data: string; pid: number }> {
  const port = await freePort();
  const data = path.join(folder, 'docker-registry');
  mkdirSync(data, { recursive: true });
  writeFileSync(path.join(folder, 'registry.yml'), `version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: ${data}}, delete: {enabled: true}, cache: {blobdescriptor: inmemory}}\nhttp: {addr: '127.0.0.1:${port}'}\n`);
  const registry = spawn('docker-registry', ['serve', path.join(folder, 'registry.yml')], { stdio: 'ignore' });
  children.push(registry);
  await until('docker-registry to listen', () => answers(port));
  return { port, data, pid: registry.pid as number };
}

export async function stopAll(server?: { stop(): Promise<void> }): Promise<void> {
  for (const child of children) {
    const ended = new Promise((resolve) => child.on('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }
  await server?.stop();
  agent.destroy();
  rmSync(folder, { recursive: true, force: true });
}

export function send(options: http.RequestOptions, body?: Buffer): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', agent, ...options, headers: { 'Content-Length': String(body?.length ?? 0), ...options.headers } }, (response) => {
      response.resume();
      response.on('end', () => resolve(response));
    });
    request.on('error', reject);
    request.end(body);
  });
}

/** Pushes a blob in the two requests that clients use. */
export async function pushTo(port: number, bytes: Buffer, digest: string, headers: http.OutgoingHttpHeaders = {}, repository = 'bench/blob'): Promise<void> {
  const begun = await send({ port, method: 'POST', path: `/v2/${repository}/blobs/uploads/`, headers });
  const location = new URL(String(begun.headers.location), `http://127.0.0.1:${port}`);
  const done = await send({ port, method: 'PUT', path: `${location.pathname}${location.search}${location.search ? '&' : '?'}digest=${digest}`, headers: { ...headers, 'Content-Type': 'application/octet-stream' } }, bytes);
  if (done.statusCode !== 201) throw new Error(`pushing a blob: the registry answered ${done.statusCode}`);
}

/** Bytes a second at which one core of this machine computes SHA-256 here and now. */
export function shaRate(): number {
  const block = Buffer.alloc(64 * 2 ** 20, 7);
  createHash('sha256').update(block).digest();
  const begun = process.hrtime.bigint();
  for (let i = 0; i < 4; i += 1) createHash('sha256').update(block).digest();
  return (4 * block.length) / (Number(process.hrtime.bigint() - begun) / 1e9);
}

export { BlobServer, digestOf };
