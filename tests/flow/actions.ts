// GitHub's Actions clients against a running Nimbus: job tokens as control makes them, and the
// processes that use them.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type Nimbus, root } from './nimbus.ts';

export interface Standing {
  org?: string;
  repo?: string;
  ref?: string;
  base?: string;
  defaultRef?: string;
  writes?: string;
  trust?: 'branch' | 'pull_request' | 'fork' | 'unproven' | 'native';
  job?: number;
  run?: number | string;
  seconds?: number;
}

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A job token, signed with the installation's key. */
export function jobToken(nimbus: Nimbus, standing: Standing = {}): string {
  const { org = 'acme', repo = 'app', ref = 'refs/heads/main', defaultRef = 'refs/heads/main', job = 12, run = 77, seconds = 600 } = standing;
  const own = standing.writes ?? ref;
  const scopes = [{ Scope: own, Permission: 3 }];
  for (const other of [standing.base, defaultRef]) {
    if (other && !scopes.some(({ Scope }) => Scope === other)) scopes.push({ Scope: other, Permission: 1 });
  }
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: 'nimbus',
    aud: 'nimbus',
    sub: `job:${job}`,
    org,
    repo,
    ref,
    job,
    fence: 1,
    scopes: ['logs', 'telemetry', 'cache', 'artifacts', 'registry:pull', 'registry:push'],
    scp: `Actions.Results:${run}:${job}`,
    ac: JSON.stringify(scopes),
    event: '',
    trust: standing.trust ?? 'branch',
    iat: now,
    exp: now + seconds,
  };
  const unsigned = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded(claims)}`;
  const key = readFileSync(path.join(nimbus.data, 'job-token.key'), 'utf8').trim().split('\n')[0].trim();
  return `${unsigned}.${createHmac('sha256', key).update(unsigned).digest('base64url')}`;
}

export const fork: Standing = { writes: 'refs/nimbus/fork/2/main', trust: 'fork', job: 13, run: 78 };

export const hasClients = (): string | false =>
  existsSync(path.join(root, 'tests/node_modules/@actions/cache')) ? false : 'no npm packages in tests: run make deps';

export type Step = { step: string } & Record<string, unknown>;
export interface Outcome {
  step: string;
  // biome-ignore lint/suspicious/noExplicitAny: steps give many shapes
  value?: any;
  error?: string;
}

export function outcomes(output: string): Outcome[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith('RESULT '))
    .map((line) => JSON.parse(line.slice('RESULT '.length)));
}

export interface ClientOptions {
  version?: 1 | 2;
  folder?: string;
  env?: Record<string, string>;
}

export interface Client {
  child: ChildProcess;
  folder: string;
  done: Promise<{ outcomes: Outcome[]; output: string }>;
}

/** Starts the client with these steps in a folder of its own (or a given one). */
export function startClient(nimbus: Nimbus, token: string, steps: Step[], options: ClientOptions = {}): Client {
  const folder = options.folder ?? mkdtempSync(path.join(tmpdir(), 'nimbus-client-'));
  const env: Record<string, string> = {
    PATH: process.env.PATH ?? '',
    HOME: folder,
    RUNNER_TEMP: path.join(folder, 'temp'),
    GITHUB_WORKSPACE: folder,
    ACTIONS_CACHE_URL: `${nimbus.url}/`,
    ACTIONS_RESULTS_URL: `${nimbus.url}/`,
    ACTIONS_RUNTIME_TOKEN: token,
    ...options.env,
  };
  if (options.version !== 1) env.ACTIONS_CACHE_SERVICE_V2 = 'true';
  const script = path.join(root, 'tests/flow/actions_client.mjs');
  const child = spawn(process.execPath, [script, JSON.stringify(steps)], { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  child.stdout?.on('data', (data) => (output += data));
  child.stderr?.on('data', (data) => (output += data));
  const done = new Promise<{ outcomes: Outcome[]; output: string }>((resolve) => {
    child.once('close', () => resolve({ outcomes: outcomes(output), output }));
  });
  return { child, folder, done };
}

/** Runs the steps to their end; the value of each. */
export async function runClient(nimbus: Nimbus, token: string, steps: Step[], options: ClientOptions = {}) {
  const client = startClient(nimbus, token, steps, options);
  const { outcomes: results, output } = await client.done;
  if (results.length !== steps.length) throw new Error(`the client ended early:\n${output}`);
  return { values: results.map(({ value }) => value), results, output, folder: client.folder };
}

/** Calls a method of GitHub's results service as its clients do; the answer's JSON. */
export async function results(nimbus: Nimbus, token: string, method: `${'CacheService' | 'ArtifactService'}/${string}`, body: object) {
  const answer = await nimbus.post(`/twirp/github.actions.results.api.v1.${method}`, body, { token });
  if (answer.status !== 200) throw new Error(`${method}: ${answer.status} ${answer.text}`);
  return answer.json;
}

async function putBytes(url: string, bytes: Buffer | string): Promise<void> {
  const put = await fetch(url, { method: 'PUT', body: bytes });
  if (put.status !== 201) throw new Error(`uploading: ${put.status} ${await put.text()}`);
}

/** Saves a small entry of the Actions cache without the client. */
export async function saveEntry(nimbus: Nimbus, token: string, { key, version, bytes }: { key: string; version: string; bytes: Buffer | string }): Promise<void> {
  const created = await results(nimbus, token, 'CacheService/CreateCacheEntry', { key, version });
  await putBytes(created.signed_upload_url, bytes);
  const size_bytes = `${Buffer.byteLength(bytes)}`;
  const { ok } = await results(nimbus, token, 'CacheService/FinalizeCacheEntryUpload', { key, version, size_bytes });
  if (!ok) throw new Error(`the entry ${key} was not taken`);
}

/** Uploads a small artifact without the client. */
export async function uploadArtifact(nimbus: Nimbus, token: string, { name, run, job, bytes }: { name: string; run: number | string; job: number; bytes: Buffer | string }): Promise<void> {
  const place = { workflow_run_backend_id: `${run}`, workflow_job_run_backend_id: `${job}`, name };
  const created = await results(nimbus, token, 'ArtifactService/CreateArtifact', { ...place, version: 4 });
  await putBytes(created.signed_upload_url, bytes);
  await results(nimbus, token, 'ArtifactService/FinalizeArtifact', { ...place, size: `${Buffer.byteLength(bytes)}` });
}
