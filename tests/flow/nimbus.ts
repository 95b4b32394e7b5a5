// A real `nimbus up` on a data directory of its own, for tests of the whole program.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

export const root = path.resolve(import.meta.dirname, '../..');
export const binary = process.env.NIMBUS_BINARY ?? path.join(root, 'build/nimbus');

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes are asserted on
  json: any;
}

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Options {
  config?: string;
  args?: string[];
  agent?: boolean;
  data?: string;
}

/** Calls `probe` until it gives something truthy; fails with `what` after `seconds`. */
export async function until<T>(what: string, probe: () => T | Promise<T>, seconds = 60): Promise<NonNullable<T>> {
  const deadline = Date.now() + seconds * 1000;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const value = await probe();
      if (value) return value as NonNullable<T>;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`waited ${seconds} s for ${what}${last ? `: ${last}` : ''}`);
}

export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export const canBoot = (): string | false => {
  if (process.getuid?.() !== 0) return 'microVMs need root for namespaces and taps';
  if (!existsSync(path.join(root, 'build/guest/vmlinuz'))) return 'no guest kernel: run make build';
  if (!existsSync(path.join(root, 'build/images'))) return 'no images: run make images';
  return false;
};

export class Nimbus {
  readonly data: string;
  readonly port: number;
  readonly url: string;
  log = '';
  private child?: ChildProcess;
  private readonly agent = new http.Agent({ keepAlive: true, maxSockets: 512 });

  private readonly options: Options;

  private constructor(data: string, port: number, options: Options) {
    this.options = options;
    this.data = data;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  static async start(options: Options = {}): Promise<Nimbus> {
    const data = options.data ?? mkdtempSync(path.join(tmpdir(), 'nimbus-flow-'));
    const nimbus = new Nimbus(data, await freePort(), options);
    if (options.config) writeFileSync(path.join(data, 'nimbus.toml'), options.config);
    await nimbus.boot();
    return nimbus;
  }

  async boot(): Promise<void> {
    const args = ['up', '--data', this.data, '--listen', `127.0.0.1:${this.port}`, ...(this.options.args ?? [])];
    if (!this.options.agent) args.push('--no-agent');
    const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child = child;
    child.stdout?.on('data', (data) => (this.log += data));
    child.stderr?.on('data', (data) => (this.log += data));
    await until('nimbus to be ready', async () => {
      if (child.exitCode !== null) throw new Error(`nimbus up ended with ${child.exitCode}:\n${this.log}`);
      return (await this.get('/readyz', { token: null })).status === 200;
    });
    if (this.options.agent) {
      await until('the agent to be online', async () => {
        const agents = (await this.get('/api/v1/agents')).json.items;
        return agents.some((agent: { state: string }) => agent.state === 'online');
      });
    }
  }

  get pid(): number {
    return this.child?.pid ?? 0;
  }

  get token(): string {
    return readFileSync(path.join(this.data, 'admin.token'), 'utf8').trim();
  }

  get secret(): string {
    return readFileSync(path.join(this.data, 'webhook.secret'), 'utf8').trim();
  }

  /** Ends the process by `signal` and waits until it is gone; its exit code. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const child = this.child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const gone = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    child.kill(signal);
    return gone;
  }

  async stop(): Promise<void> {
    await this.end();
    this.agent.destroy();
    rmSync(this.data, { recursive: true, force: true });
  }

  request(method: string, target: string, { body = undefined as string | Buffer | undefined, headers = {} as http.OutgoingHttpHeaders, token = this.token as string | null } = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const all: http.OutgoingHttpHeaders = { ...headers };
      if (token) all.authorization ??= `Bearer ${token}`;
      if (body !== undefined) {
        all['content-type'] ??= 'application/json';
        all['content-length'] = Buffer.byteLength(body);
      }
      const request = http.request(this.url + target, { method, headers: all, agent: this.agent }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (piece) => (text += piece));
        response.on('end', () => {
          const isJson = /application\/(problem\+)?json/.test(response.headers['content-type'] ?? '');
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: isJson && text ? JSON.parse(text) : undefined });
        });
        response.on('error', reject);
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  get(target: string, options: { token?: string | null } = {}): Promise<Answer> {
    return this.request('GET', target, options);
  }

  post(target: string, value: unknown, options: { token?: string | null; headers?: http.OutgoingHttpHeaders } = {}): Promise<Answer> {
    return this.request('POST', target, { ...options, body: JSON.stringify(value) });
  }

  /** Delivers a webhook as GitHub would; every part of it can be replaced to make it wrong. */
  deliver(body: string | Buffer, { event = 'workflow_job', delivery = randomUUID() as string | null, signature = undefined as string | null | undefined, headers = {} as http.OutgoingHttpHeaders } = {}): Promise<Answer> {
    const all: http.OutgoingHttpHeaders = { 'content-type': 'application/json', 'user-agent': 'GitHub-Hookshot/test', 'x-github-event': event, ...headers };
    if (delivery !== null) all['x-github-delivery'] = delivery;
    const signed = signature === undefined ? sign(this.secret, body) : signature;
    if (signed !== null) all['x-hub-signature-256'] = signed;
    return this.request('POST', '/webhooks/github', { body, headers: all, token: null });
  }

  /** Runs the command line against this server. */
  cli(args: string[], { input = '', env = {} as Record<string, string> } = {}): Promise<Finished> {
    return new Promise((resolve) => {
      const child = execFile(binary, args, { env: { ...process.env, NIMBUS_SERVER: this.url, NIMBUS_TOKEN: this.token, ...env }, maxBuffer: 256 << 20, timeout: 180_000 }, (error, stdout, stderr) => {
        resolve({ code: error ? ((error as { code?: number }).code ?? null) : 0, stdout, stderr });
      });
      child.stdin?.end(input);
    });
  }

  async job(id: number): Promise<Record<string, unknown> & { state: string; reason: string; exit_code: number | null }> {
    return (await this.get(`/api/v1/jobs/${id}`)).json;
  }

  finished(id: number, seconds = 90) {
    const final = ['succeeded', 'failed', 'cancelled', 'timed_out', 'lost'];
    return until(`job ${id} to end`, async () => {
      const job = await this.job(id);
      return final.includes(job.state) ? job : undefined;
    }, seconds);
  }

  /** The job's lines; pieces of a line that came in parts are put together. */
  async lines(id: number): Promise<{ seq: number; stream: string; text: string; fence: number }[]> {
    const answer = await this.get(`/api/v1/jobs/${id}/logs`);
    if (answer.status !== 200) throw new Error(`logs of job ${id}: ${answer.status} ${answer.text}`);
    const whole = [];
    const begun = new Map<string, string>();
    for (const text of answer.text.split('\n').filter(Boolean)) {
      const line = JSON.parse(text);
      line.text = (begun.get(line.stream) ?? '') + line.text;
      if (line.partial) begun.set(line.stream, line.text);
      else {
        begun.delete(line.stream);
        whole.push(line);
      }
    }
    return whole;
  }
}

export const sign = (secret: string, body: string | Buffer): string =>
  `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

export const fixtureFolder = path.join(root, 'tests/golden/webhooks');

/** A recorded webhook, its job's times moved to now and, when asked, its fields changed. */
export function fixture(file: string, change: (payload: Payload) => void = () => {}): string {
  const payload = JSON.parse(readFileSync(path.join(fixtureFolder, file), 'utf8'));
  const now = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  for (const field of ['created_at', 'started_at', 'completed_at']) {
    if (payload.workflow_job?.[field]) payload.workflow_job[field] = now;
  }
  change(payload);
  return JSON.stringify(payload);
}

// biome-ignore lint/suspicious/noExplicitAny: GitHub's payloads are changed freely by tests
export type Payload = any;

let nextGithubJob = Date.now();

/** A queued workflow_job of its own for `runs-on: labels`. */
export function queued(labels: string[] = ['nimbus'], change: (payload: Payload) => void = () => {}): string {
  return fixture('workflow_job.queued.ubuntu.json', (payload) => {
    payload.workflow_job.id = nextGithubJob++;
    payload.workflow_job.labels = labels;
    change(payload);
  });
}
