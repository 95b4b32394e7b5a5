// What a job may do to storage ends with its lease, and what a fork's pull request writes reaches
// nobody else: with tokens as control gives them, to an agent that is only a program here.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { results, saveEntry } from './actions.ts';
import { askFrom, basic, bearer, opens, PaperAgent } from './attack.ts';
import { fixture, Nimbus, type Payload, queued, until } from './nimbus.ts';
import { blobOf, digestOf, location, Repository, withDigest } from './registry.ts';

const version = createHash('sha256').update('version').digest('hex');
const hash = createHash('sha256').update('bytes').digest('hex');

let nimbus: Nimbus;
let agent: PaperAgent;
before(async () => {
  nimbus = await Nimbus.start();
  agent = await PaperAgent.enrol(nimbus);
});
after(() => nimbus.stop());

/** Well under the minute that leases last: what ends the token is the lease's end and not the clock. */
const refused = (token: string) => until('the token to be refused', async () => !(await opens(nimbus, token)), 30);

async function registryToken(token: string): Promise<string> {
  const seen = await askFrom(nimbus, 'GET', { target: '/v2/token?service=nimbus-registry&scope=repository:acme/app:pull,push' }, basic(token));
  assert.equal(seen.status, 200, seen.text);
  return JSON.parse(seen.text).token;
}

describe('the token of a lease that ended', () => {
  test('is refused everywhere once the job has finished, as are the tokens made of it', async () => {
    const lease = await agent.lease('acme');
    const made = await registryToken(lease.token);
    const registry = (token: string) => askFrom(nimbus, 'GET', { target: '/v2/acme/app/tags/list' }, token);
    assert.equal((await registry(bearer(made))).status, 404);
    const created = await results(nimbus, lease.token, 'CacheService/CreateCacheEntry', { key: 'late', version });
    await agent.finish(lease);
    await refused(lease.token);
    assert.equal((await registry(bearer(lease.token))).status, 401);
    assert.equal((await registry(bearer(made))).status, 401);
    assert.equal((await askFrom(nimbus, 'GET', { target: '/cache/x' }, basic(lease.token))).status, 401);
    assert.equal((await askFrom(nimbus, 'GET', { target: `/_apis/artifactcache/cache?keys=x&version=${version}` }, bearer(lease.token))).status, 401);
    for (const method of ['CacheService/GetCacheEntryDownloadURL', 'ArtifactService/ListArtifacts'] as const) {
      await assert.rejects(results(nimbus, lease.token, method, { key: 'x', version }), /: 401 /);
    }
    // The URL it was given takes no more bytes soon, and nobody can make an entry of those it took.
    await until('the upload to be given up', async () => (await fetch(created.signed_upload_url, { method: 'PUT', body: 'late' })).status !== 201, 30);
    await assert.rejects(results(nimbus, lease.token, 'CacheService/FinalizeCacheEntryUpload', { key: 'late', version, size_bytes: '4' }), /: 401 /);
    assert.deepEqual((await nimbus.get('/api/v1/caches?org=acme&key=late')).json.items, []);
  });

  test('is refused after a restart as well', async () => {
    const lease = await agent.lease('acme');
    await agent.finish(lease);
    await nimbus.end('SIGKILL');
    await nimbus.boot();
    assert.equal(await opens(nimbus, lease.token), false);
  });

  test('is refused when the job was given to somebody else, whose token opens', async () => {
    const first = await agent.lease('acme', { retries: 1 });
    await agent.report(first, 1, 'abandoned', { reason: 'the host is busy' });
    const second = await agent.take(first.job);
    assert.equal(second.fence, first.fence + 1);
    await refused(first.token);
    assert.equal(await opens(nimbus, second.token), true);
    await agent.finish(second);
    await refused(second.token);
  });

  test('is refused when its agent is revoked', async () => {
    const other = await PaperAgent.enrol(nimbus);
    await nimbus.post(`/api/v1/agents/${agent.id}/drain`, {});
    const lease = await other.lease('acme');
    await nimbus.post(`/api/v1/agents/${agent.id}/resume`, {});
    assert.equal(await opens(nimbus, lease.token), true);
    assert.ok((await nimbus.request('DELETE', `/api/v1/agents/${other.id}`)).status < 300);
    await refused(lease.token);
  });

  test('still brings the job’s last lines', async () => {
    const lease = await agent.lease('acme');
    await agent.finish(lease);
    await refused(lease.token);
    const line = JSON.stringify({ ts: new Date().toISOString(), seq: 1, stream: 'stdout', text: 'the end' });
    const sent = await askFrom(nimbus, 'POST', { target: `/api/v1/jobs/${lease.job}/logs?fence=${lease.fence}`, body: `${line}\n`, headers: { 'content-type': 'application/x-ndjson' } }, bearer(lease.token));
    assert.notEqual(sent.status, 401, sent.text);
    assert.notEqual(sent.status, 403, sent.text);
  });
});

let nextRun = 5_000_000;

/** A run as GitHub tells of it, and the token of its job. */
async function githubJob(event: string, headRepository: number, more: (run: Payload) => void = () => {}): Promise<{ job: number; fence: number; token: string; org: string; repo: string }> {
  const run = nextRun++;
  const job = queued(['nimbus'], (payload) => {
    payload.workflow_job.run_id = run;
    payload.workflow_job.head_branch = 'main';
    payload.repository.default_branch = 'main';
  });
  const { repository } = JSON.parse(job);
  const told = fixture('workflow_run.completed.json', (payload) => {
    payload.action = 'requested';
    payload.repository = repository;
    Object.assign(payload.workflow_run, { id: run, event, head_branch: 'main', head_repository: { id: headRepository || repository.id }, repository, pull_requests: [] });
    more(payload.workflow_run);
  });
  assert.equal((await nimbus.deliver(told, { event: 'workflow_run' })).status, 202);
  const accepted = await nimbus.deliver(job);
  assert.equal(accepted.status, 202, accepted.text);
  return { ...(await agent.take(accepted.json.job)), org: repository.owner.login, repo: repository.name };
}

describe('a fork’s pull request from a branch called main', () => {
  const pulls = (run: Payload) => (run.pull_requests = [{ number: 7, base: { ref: 'main' } }]);
  let fork: Awaited<ReturnType<typeof githubJob>>;
  let main: Awaited<ReturnType<typeof githubJob>>;
  before(async () => {
    fork = await githubJob('pull_request', 424242, pulls);
    main = await githubJob('push', 0);
  });

  const request = (method: string, target: string, token: string, body?: string, headers = {}) =>
    nimbus.request(method, target, { token, body, headers: { 'content-type': 'application/octet-stream', ...headers } });
  const saveByV1 = async (token: string, key: string, bytes: string) => {
    const made = await nimbus.post('/_apis/artifactcache/caches', { key, version }, { token });
    const where = `/_apis/artifactcache/caches/${made.json.cacheId}`;
    assert.equal((await request('PATCH', where, token, bytes, { 'content-range': `bytes 0-${bytes.length - 1}/*` })).status, 204);
    assert.equal((await nimbus.post(where, { size: bytes.length }, { token })).status, 204);
  };
  const found = async (token: string, key: string, ...prefixes: string[]) => {
    const answer = await nimbus.get(`/_apis/artifactcache/cache?keys=${[key, ...prefixes].join(',')}&version=${version}`, { token });
    return answer.status === 200 ? (await fetch(answer.json.archiveLocation)).text() : null;
  };

  test('plants nothing that the default branch restores, whatever protocol it speaks', async () => {
    await saveEntry(nimbus, fork.token, { key: 'deps-v2', version, bytes: 'planted' });
    await saveByV1(fork.token, 'deps-v1', 'planted');
    for (const target of ['/cache/tool', `/ac/${hash}`]) assert.equal((await request('PUT', target, fork.token, 'planted')).status, 201);
    assert.equal((await request('PUT', `/cas/${hash}`, fork.token, 'bytes')).status, 201);
    assert.equal(await found(fork.token, 'deps-v2'), 'planted', 'it sees what it wrote');
    for (const key of ['deps-v1', 'deps-v2']) assert.equal(await found(main.token, key, 'deps-', 'd'), null);
    for (const target of ['/cache/tool', `/ac/${hash}`, `/cas/${hash}`]) assert.equal((await request('GET', target, main.token)).status, 404, target);
    // It takes no key away either.
    await saveEntry(nimbus, main.token, { key: 'deps-v2', version, bytes: 'good' });
    await saveByV1(main.token, 'deps-v1', 'good');
    assert.equal((await request('PUT', '/cache/tool', main.token, 'good')).status, 201);
    for (const key of ['deps-v1', 'deps-v2']) assert.equal(await found(main.token, key), 'good');
    assert.equal((await request('GET', '/cache/tool', main.token)).text, 'good');
  });

  test('reads what the base branch has and changes nothing of it', async () => {
    await saveEntry(nimbus, main.token, { key: 'base', version, bytes: 'good' });
    assert.equal((await request('PUT', '/cache/base', main.token, 'good')).status, 201);
    assert.equal(await found(fork.token, 'base'), 'good');
    assert.equal((await request('GET', '/cache/base', fork.token)).text, 'good');
    assert.equal((await request('DELETE', '/cache/base', fork.token)).status, 404);
    assert.equal((await request('PUT', '/cache/base', fork.token, 'planted')).status, 201);
    assert.equal((await request('GET', '/cache/base', main.token)).text, 'good');
  });

  test('sees no artifact of another run, and pushes no image', async () => {
    const run = JSON.parse(Buffer.from(main.token.split('.')[1], 'base64url').toString()).scp.split(':')[1];
    await assert.rejects(results(nimbus, fork.token, 'ArtifactService/ListArtifacts', { workflow_run_backend_id: run, workflow_job_run_backend_id: '1' }), /: 404 /);
    const repository = new Repository(nimbus, `${fork.org.toLowerCase()}/app`, fork.token);
    assert.equal((await repository.ask('POST', 'blobs/uploads/')).status, 403);
  });

  test('a run of which nobody said anything is no more trusted', async () => {
    const delivered = await nimbus.deliver(queued(['nimbus'], (payload) => {
      payload.workflow_job.run_id = nextRun++;
      payload.workflow_job.head_branch = 'main';
      payload.repository.default_branch = 'main';
    }));
    const unproven = await agent.take(delivered.json.job);
    await saveEntry(nimbus, unproven.token, { key: 'unproven', version, bytes: 'planted' });
    assert.equal(await found(main.token, 'unproven', 'unp'), null);
  });

  test('the audit of the rows finds nothing', async () => {
    const audit = await nimbus.cli(['cache', 'audit', '--json']);
    assert.equal(audit.code, 0, audit.stderr);
    assert.deepEqual(JSON.parse(audit.stdout).items, []);
  });
});

describe('bytes another org has', () => {
  test('must be sent in full, and knowing their digest mounts nothing', async () => {
    const mine = await agent.lease('acme');
    const theirs = await agent.lease('evil');
    const bytes = blobOf(5000);
    const digest = await new Repository(nimbus, 'acme/app', mine.token).push(bytes);
    const thief = new Repository(nimbus, 'evil/app', theirs.token);
    for (const query of [`?mount=${digest}`, `?mount=${digest}&from=acme/app`, `?mount=${digest}&from=evil/app`, `?mount=${digest}&from=nimbus/base`]) {
      const reply = await thief.ask('POST', `blobs/uploads/${query}`);
      assert.equal(reply.status, 202, query);
      assert.equal((await thief.ask('PUT', withDigest(location(reply), digest))).status, 400, 'no bytes, no blob');
    }
    assert.equal((await thief.ask('POST', `blobs/uploads/?digest=${digest}`)).status, 400);
    const referring = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: { mediaType: 'a/b', digest, size: bytes.length }, layers: [] };
    assert.equal((await thief.put('v1', referring)).status, 400, 'a manifest does not bring a blob in');
    assert.equal((await thief.ask('HEAD', `blobs/${digest}`)).status, 404);
    assert.equal((await thief.ask('PUT', withDigest(await thief.begin(), digest), { body: bytes })).status, 201);
    assert.equal(digestOf((await thief.ask('GET', `blobs/${digest}`)).body), digest);
    const cas = await nimbus.request('PUT', `/cas/${digest.slice(7)}`, { body: 'x', token: theirs.token, headers: { 'content-type': 'application/octet-stream' } });
    assert.equal(cas.status, 400);
  });
});
