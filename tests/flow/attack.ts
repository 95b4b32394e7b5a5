// Two orgs that attack each other: every kind of credential that is not the victim's, and requests
// that tell whether the server says the same of what is there and of what is not.
import { createHmac } from 'node:crypto';
import http from 'node:http';
import { jobToken } from './actions.ts';
import { type Nimbus, until } from './nimbus.ts';
import { tokenOf } from './registry.ts';

export interface Ask {
  target: string;
  body?: string;
  headers?: Record<string, string>;
}

export interface Seen {
  status: number;
  headers: http.IncomingHttpHeaders;
  text: string;
}

let asked = 0;

/**
 * Sends one request over a connection of its own, from an address of its own: whoever fails too often
 * from one address is told to wait, and that would hide what is looked for.
 */
export function askFrom(nimbus: Nimbus, method: string, ask: Ask, credential: Record<string, string> = {}): Promise<Seen> {
  asked += 1;
  const localAddress = `127.${1 + ((asked >> 16) & 63)}.${(asked >> 8) & 255}.${asked & 255 || 1}`;
  const headers: http.OutgoingHttpHeaders = { ...ask.headers, ...credential };
  if (ask.body !== undefined) {
    headers['content-type'] ??= 'application/json';
    headers['content-length'] = Buffer.byteLength(ask.body);
  } else if (method !== 'GET' && method !== 'HEAD') {
    headers['content-length'] = 0;
  }
  return new Promise((resolve, reject) => {
    const request = http.request(nimbus.url + ask.target, { method, headers, agent: false, localAddress }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece) => (text += piece));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(ask.body);
  });
}

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
export const basic = (token: string) => ({ authorization: `Basic ${Buffer.from(`x:${token}`).toString('base64')}` });

/** What the dashboard sends for somebody who signed in with this token. */
async function session(nimbus: Nimbus, token: string): Promise<Record<string, string>> {
  const opened = await nimbus.post('/api/v1/session', { token }, { token: null });
  const cookie = `${opened.headers['set-cookie']}`.split(';')[0];
  const { json } = await nimbus.request('GET', '/api/v1/session', { headers: { cookie }, token: null });
  return { cookie, 'x-nimbus-csrf': json.csrf };
}

/** An agent as control sees it: polls, gets jobs, reports about them. No VM. */
export class PaperAgent {
  readonly nimbus: Nimbus;
  readonly id: string;
  readonly credential: string;

  private constructor(nimbus: Nimbus, id: string, credential: string) {
    this.nimbus = nimbus;
    this.id = id;
    this.credential = credential;
  }

  static async enrol(nimbus: Nimbus): Promise<PaperAgent> {
    const enrolment = await enrolmentToken(nimbus);
    const made = await nimbus.post('/api/v1/agents', { name: 'paper', slots: 4, version: '1', vmm: 'none', accel: 'none', cgroup: 'v2' }, { token: enrolment });
    if (made.status !== 201) throw new Error(`enrolling: ${made.status} ${made.text}`);
    return new PaperAgent(nimbus, made.json.id, made.json.credential);
  }

  /** Queues a job and takes it; its number, fence and token. */
  async lease(org: string, more: object = {}): Promise<{ job: number; fence: number; token: string }> {
    const queued = await this.nimbus.post('/api/v1/jobs', { org, repo: 'app', ref: 'refs/heads/main', command: ['true'], ...more });
    if (queued.status !== 201) throw new Error(`queueing: ${queued.status} ${queued.text}`);
    return this.take(queued.json.id);
  }

  /** Polls until this job is given. */
  take(job: number) {
    return until(`job ${job} to be assigned`, async () => {
      const answer = await this.nimbus.post(`/api/v1/agents/${this.id}/assignments`, { slots_free: 4, wait_s: 1 }, { token: this.credential });
      const given = answer.json?.assignments?.find((one: { job: number }) => one.job === job);
      return given && { job, fence: given.fence as number, token: given.job_token as string };
    });
  }

  async report(lease: { job: number; fence: number }, seq: number, type: string, more: object = {}): Promise<void> {
    const answer = await this.nimbus.post(`/api/v1/jobs/${lease.job}/events`, { fence: lease.fence, seq, type, ...more }, { token: this.credential });
    if (answer.status !== 202) throw new Error(`${type}: ${answer.status} ${answer.text}`);
  }

  async finish(lease: { job: number; fence: number }): Promise<void> {
    await this.report(lease, 1, 'started');
    await this.report(lease, 2, 'finished', { result: 'succeeded', exit_code: 0 });
  }
}

async function enrolmentToken(nimbus: Nimbus): Promise<string> {
  const made = await nimbus.post('/api/v1/agents/enrollments', {});
  if (made.status !== 201) throw new Error(`an enrolment token: ${made.status} ${made.text}`);
  return made.json.token;
}

/** Whether a plain read with this token is still let in. */
export const opens = async (nimbus: Nimbus, token: string): Promise<boolean> =>
  (await askFrom(nimbus, 'GET', { target: '/cache/nothing' }, bearer(token))).status !== 401;

/** The tokens of a job whose lease is over, which the clock alone would let live for a minute yet. */
async function endedLease(nimbus: Nimbus, agent: PaperAgent, org: string): Promise<string> {
  const lease = await agent.lease(org);
  await agent.finish(lease);
  await until('the token of the ended lease to be refused', async () => !(await opens(nimbus, lease.token)), 50);
  return lease.token;
}

function forged(token: string, change: (claims: Record<string, unknown>) => void, key = ''): string {
  const [header, payload, signature] = token.split('.');
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
  change(claims);
  const unsigned = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
  return `${unsigned}.${key ? createHmac('sha256', key).update(unsigned).digest('base64url') : signature}`;
}

const unsignedHeader = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');

export interface Foreign {
  name: string;
  headers: Record<string, string>;
  /**
   * void: no valid credential at all; job, operator: valid, of another org; password: one of these where
   * Basic is taken; other: valid, and no key to storage; viewer, fork: of the victim's own org, and not
   * enough to change things.
   */
  kind: 'void' | 'job' | 'operator' | 'password' | 'other' | 'viewer' | 'fork';
}

/** Every kind of credential that `victim`'s storage must not open to, in the hands of `evil` or worse. */
export async function foreignCredentials(nimbus: Nimbus, victim: string, evil: string): Promise<Foreign[]> {
  const agent = await PaperAgent.enrol(nimbus);
  const own = jobToken(nimbus, { org: victim });
  const theirs = jobToken(nimbus, { org: evil });
  const revoked = await nimbus.post('/api/v1/tokens', { name: 'revoked', role: 'admin', org: victim });
  await nimbus.request('DELETE', `/api/v1/tokens/${revoked.json.id}`);
  const [, payload] = own.split('.');
  const voids: [string, string][] = [
    ['nothing', ''],
    ['garbage', 'nbt_garbage'],
    ['garbage of another shape', 'a.b.c'],
    ['an expired job token', jobToken(nimbus, { org: victim, seconds: -30 })],
    ['a job token whose org was changed', forged(theirs, (claims) => (claims.org = victim))],
    ['a job token of another key', forged(own, () => {}, 'another-key-another-key-another-key')],
    ['a job token without a signature', `${unsignedHeader}.${payload}.`],
    ['the job token of an ended lease', await endedLease(nimbus, agent, victim)],
    ['a revoked operator token', revoked.json.token],
  ];
  const all: Foreign[] = voids.map(([name, token]) => ({ name, kind: 'void', headers: token ? bearer(token) : {} }));
  const add = (name: string, kind: Foreign['kind'], token: string) => all.push({ name, kind, headers: bearer(token) });
  all.push({ name: 'a wrong password', kind: 'void', headers: basic('nbt_wrong') });
  all.push({ name: 'a cookie of no session', kind: 'void', headers: { cookie: 'nimbus_session=garbage' } });
  add('a job of another org', 'job', theirs);
  for (const role of ['viewer', 'operator', 'admin']) add(`${role} of another org`, 'operator', await tokenOf(nimbus, evil, role));
  const admin = await tokenOf(nimbus, evil, 'admin');
  all.push({ name: 'a session of another org', kind: 'operator', headers: await session(nimbus, admin) });
  all.push({ name: 'admin of another org, by password', kind: 'password', headers: basic(admin) });
  all.push({ name: 'a job of another org, by password', kind: 'password', headers: basic(theirs) });
  add('an agent', 'other', agent.credential);
  add('an ingest token of the org', 'other', await tokenOf(nimbus, victim, 'ingest'));
  add('an enrolment token', 'other', await enrolmentToken(nimbus));
  add('viewer of the org', 'viewer', await tokenOf(nimbus, victim, 'viewer'));
  add('a job of a fork’s pull request', 'fork', jobToken(nimbus, { org: victim, writes: 'refs/pull/9/merge', trust: 'fork', job: 900, run: 900 }));
  return all;
}
