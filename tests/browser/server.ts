// The server under test: `nimbus up` on a fresh data directory and a free port of loopback. It can be
// stopped and started again on the same ones.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { waitFor } from './wait.ts';

const root = path.resolve(import.meta.dirname, '../..');
export const binary = process.env.NIMBUS_BINARY ?? path.join(root, 'build/nimbus');
// Why the tests cannot run here, or false.
export const skip = existsSync(binary) ? false : `${binary} does not exist: make build`;

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

export class Server {
  readonly url: string;
  token = '';
  #data: string;
  #process: ChildProcess | null = null;
  #output = '';

  private constructor(data: string, port: number) {
    this.#data = data;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(): Promise<Server> {
    const data = await mkdtemp(path.join(tmpdir(), 'nimbus-browser-'));
    const server = new Server(data, await freePort());
    await server.start();
    return server;
  }

  async start(): Promise<void> {
    const listen = this.url.replace('http://', '');
    const args = ['up', '--no-agent', '--data', this.#data, '--listen', listen];
    const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data) => {
        this.#output = (this.#output + data).slice(-20_000);
      });
    }
    const isReady = async () => {
      if (child.exitCode !== null) throw new Error(`nimbus up ended:\n${this.#output}`);
      const answer = await fetch(`${this.url}/readyz`).catch(() => null);
      const health = answer?.ok ? ((await answer.json()) as { status: string }) : null;
      return health?.status === 'ready';
    };
    await waitFor('the server to be ready', isReady, 60_000).catch((error) => {
      throw new Error(`${error.message}\n${this.#output}`);
    });
    this.token = (await readFile(path.join(this.#data, 'admin.token'), 'utf8')).trim();
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (!child || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }

  async remove(): Promise<void> {
    await this.stop();
    await rm(this.#data, { recursive: true, force: true });
  }

  async call<T>(method: string, target: string, body?: unknown, token = this.token): Promise<T> {
    const isText = typeof body === 'string';
    const response = await fetch(this.url + target, {
      method,
      headers: {
        Authorization: `Bearer ${token}`,
        'Content-Type': isText ? 'application/x-ndjson' : 'application/json',
      },
      ...(body === undefined ? {} : { body: isText ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${target}: ${response.status} ${text}`);
    return (text ? JSON.parse(text) : undefined) as T;
  }
}
