// The blob library's own small server (bench/blob_server.cc), for tests and benchmarks of the store
// itself: started, killed and started again on a data directory.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { binary, root, until } from './nimbus.ts';

const program = path.join(root, 'build/release/bench/blob_server');

export const digestOf = (bytes: Buffer | string): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

export interface FsckReport {
  status: number | null;
  blobs: number;
  bytes: number;
  findings: { kind: string; subject: string; detail: string; repaired: boolean }[];
}

export interface BlobAnswer {
  status: number;
  body: Buffer;
  headers: http.IncomingHttpHeaders;
}

export interface FollowedAnswer {
  response: http.IncomingMessage;
  /** The body, or nothing when it broke off. */
  whole: Promise<Buffer | undefined>;
  received: () => Buffer;
}

/** A folder in memory where there is one: fsync on a busy disk takes seconds. */
export function scratchFolder(): string {
  return mkdtempSync(path.join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'nimbus-blob-'));
}

export class BlobServer {
  port = 0;
  token = '';
  log = '';
  readonly data: string;
  readonly store: string;
  readonly freeBytesMin: number;
  readonly environment: Record<string, string>;
  private child: ChildProcess | undefined;
  private readonly agent = new http.Agent({ keepAlive: true });

  constructor(data: string, store = '', freeBytesMin = 0, environment: Record<string, string> = {}) {
    this.data = data;
    this.store = store;
    this.freeBytesMin = freeBytesMin;
    this.environment = environment;
  }

  static async start(options: { data?: string; store?: string; freeBytesMin?: number; environment?: Record<string, string> } = {}): Promise<BlobServer> {
    const server = new BlobServer(options.data ?? scratchFolder(), options.store, options.freeBytesMin, options.environment);
    await server.begin();
    return server;
  }

  get pid(): number {
    return this.child?.pid as number;
  }

  async begin(): Promise<void> {
    mkdirSync(this.data, { recursive: true });
    const child = spawn(program, [this.data, this.store, String(this.freeBytesMin)], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...this.environment } });
    let said = '';
    child.stdout.on('data', (data) => (said += data));
    child.stderr.on('data', (data) => (this.log += data));
    this.child = child;
    const listening = await until('the blob server to listen', () => (child.exitCode === null ? /port (\d+) token (\S+)/.exec(said) : 'ended'));
    if (listening === 'ended') throw new Error(`the blob server ended: ${this.log}`);
    this.port = Number(listening[1]);
    this.token = listening[2];
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.on('exit', resolve));
    child.kill(signal);
    await ended;
  }

  async stop(): Promise<void> {
    await this.end('SIGKILL');
    this.agent.destroy();
    rmSync(this.data, { recursive: true, force: true });
  }

  request(method: string, digest: string, body?: Buffer, headers: Record<string, string> = {}): Promise<BlobAnswer> {
    return new Promise((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port: this.port, method, path: `/blobs/${digest}`, agent: this.agent, headers: { Authorization: `Bearer ${this.token}`, ...(body && !headers['Transfer-Encoding'] ? { 'Content-Length': String(body.length) } : {}), ...headers } }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => (response.complete ? resolve({ status: response.statusCode as number, body: Buffer.concat(chunks), headers: response.headers }) : reject(new Error('the answer broke off'))));
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  /** An answer whose bytes come as the server sends them: its head, and what has come so far. */
  follow(digest: string, headers: Record<string, string> = {}): Promise<FollowedAnswer> {
    return new Promise((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port: this.port, path: `/blobs/${digest}`, agent: false, headers: { Authorization: `Bearer ${this.token}`, ...headers } }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => chunks.push(chunk));
        const whole = new Promise<Buffer | undefined>((end) => response.on('close', () => end(response.complete ? Buffer.concat(chunks) : undefined)).on('error', () => {}));
        resolve({ response, whole, received: () => Buffer.concat(chunks) });
      });
      request.on('error', reject);
      request.end();
    });
  }

  put(bytes: Buffer): Promise<BlobAnswer> {
    return this.request('PUT', digestOf(bytes), bytes);
  }

  get(digest: string, headers: Record<string, string> = {}): Promise<BlobAnswer> {
    return this.request('GET', digest, undefined, headers);
  }

  /** What `nimbus cache fsck` says of the data directory. */
  async fsck(...options: string[]): Promise<FsckReport> {
    const environment = { ...process.env, ...this.environment, ...(this.store ? { NIMBUS_BLOB_STORE: this.store } : {}) };
    const child = spawn(binary, ['cache', 'fsck', '--json', '--data', this.data, '--config', '', ...options], { env: environment });
    let stdout = '', stderr = '';
    child.stdout.on('data', (data) => (stdout += data));
    child.stderr.on('data', (data) => (stderr += data));
    const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
    if (!stdout) throw new Error(`fsck: ${stderr}`);
    return { status, ...JSON.parse(stdout) };
  }
}
