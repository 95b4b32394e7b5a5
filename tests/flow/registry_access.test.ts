// Who gets into the registry, and what those outside an org can learn: nothing.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Nimbus } from './nimbus.ts';
import { blobOf, digestOf, location, Repository, type Reply, tokenOf, withDigest } from './registry.ts';

let nimbus: Nimbus;
let acme: string;
let reader: string;
let evil: string;
before(async () => {
  nimbus = await Nimbus.start();
  acme = await tokenOf(nimbus, 'acme');
  reader = await tokenOf(nimbus, 'acme', 'viewer');
  evil = await tokenOf(nimbus, 'evil');
});
after(() => nimbus.stop());

const basic = (token: string) => ({ authorization: `Basic ${Buffer.from(`anyone:${token}`).toString('base64')}` });

/** A job token as control signs it. */
function jobToken(org: string, { scopes = ['registry:pull', 'registry:push'], lives = 60, trust = 'native' } = {}): string {
  const key = readFileSync(path.join(nimbus.data, 'job-token.key'), 'utf8').split('\n')[0].trim();
  const now = Math.floor(Date.now() / 1000);
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const sample = { org, repo: 'app', ref: 'refs/heads/main', job: 1, fence: 1, scopes, iss: 'nimbus', nbf: now - 1, iat: now, exp: now + lives, scp: 'Actions.Results:1:1', ac: '[]', trust };
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(sample)}`;
  return `${body}.${createHmac('sha256', key).update(body).digest('base64url')}`;
}

async function registryToken(token: string, ...scopes: string[]): Promise<string> {
  const query = scopes.map((scope) => `scope=${encodeURIComponent(scope)}`).join('&');
  const reply = await new Repository(nimbus, 'acme/app').ask('GET', `/v2/token?service=nimbus-registry&account=u&${query}`, { token: null, headers: basic(token) });
  assert.equal(reply.status, 200, reply.body.toString());
  assert.equal(reply.json.token, reply.json.access_token);
  return reply.json.token;
}

describe('getting in', () => {
  const ping = (options: object) => new Repository(nimbus, 'acme/app').ask('GET', '/v2/', options);

  test('without a credential both ways in are named', async () => {
    const reply = await ping({ token: null });
    assert.equal(reply.status, 401);
    assert.equal(reply.headers['docker-distribution-api-version'], 'registry/2.0');
    assert.match(`${reply.headers['www-authenticate']}`, new RegExp(`Bearer realm="${nimbus.url}/v2/token",service="nimbus-registry"`));
    assert.match(`${reply.headers['www-authenticate']}`, /Basic realm="nimbus"/);
    const pull = await new Repository(nimbus, 'acme/app').ask('GET', 'manifests/v1', { token: null });
    assert.match(`${pull.headers['www-authenticate']}`, /scope="repository:acme\/app:pull"/);
  });

  test('Basic, Bearer and a job token let in; what is none of them does not', async () => {
    assert.deepEqual((await ping({ token: null, headers: basic(acme) })).json, {});
    assert.equal((await ping({ token: acme })).status, 200);
    assert.equal((await ping({ token: await registryToken(acme) })).status, 200);
    assert.equal((await ping({ token: jobToken('acme') })).status, 200);
    assert.equal((await ping({ token: null, headers: basic(jobToken('acme')) })).status, 200);
    for (const wrong of ['nbt_wrong', 'nbr_a.b', `${jobToken('acme')}x`, jobToken('acme', { lives: -60 })]) {
      assert.equal((await ping({ token: wrong })).status, 401, wrong);
    }
    for (const header of ['Basic', 'Basic !!!', 'Basic dTo=', 'Digest x', 'Bearer']) {
      assert.equal((await ping({ token: null, headers: { authorization: header } })).status, 401, header);
    }
  });

  test('POST to the token endpoint gets 405, so that clients fall back to GET', async () => {
    assert.equal((await new Repository(nimbus, 'acme/app').ask('POST', '/v2/token', { token: null, body: 'grant_type=password' })).status, 405);
  });

  test('a token says how long it lives', async () => {
    const reply = await new Repository(nimbus, 'acme/app').ask('GET', '/v2/token', { token: acme });
    assert.equal(reply.json.expires_in, 300);
    assert.ok(Math.abs(Date.parse(reply.json.issued_at) - Date.now()) < 60_000);
    const job = await new Repository(nimbus, 'acme/app').ask('GET', '/v2/token', { token: jobToken('acme', { lives: 40 }) });
    assert.ok(job.json.expires_in <= 45);
  });

  test('a revoked token gives no more access, also through the registry tokens made of it', async () => {
    const made = await nimbus.post('/api/v1/tokens', { name: 'short', role: 'operator', org: 'acme' });
    const token = await registryToken(made.json.token, 'repository:acme/app:pull');
    assert.equal((await ping({ token })).status, 200);
    assert.ok((await nimbus.request('DELETE', `/api/v1/tokens/${made.json.id}`)).status < 300);
    assert.equal((await ping({ token })).status, 401);
    assert.equal((await ping({ token: made.json.token })).status, 401);
  });
});

describe('scopes', () => {
  test('a token is the part of what was asked for that its owner may do', async () => {
    const token = await registryToken(acme, 'repository:acme/app:pull,push', 'repository:evil/app:pull', 'repository:acme/web:pull');
    await new Repository(nimbus, 'acme/app', token).image({ tag: 'v1' });
    assert.equal((await new Repository(nimbus, 'acme/web', token).ask('POST', 'blobs/uploads/')).status, 401);
    for (const name of ['evil/app', 'acme/third']) {
      const reply = await new Repository(nimbus, name, token).ask('GET', 'tags/list');
      assert.equal(reply.status, 401);
      assert.match(`${reply.headers['www-authenticate']}`, /error="insufficient_scope"/);
    }
  });

  test('who may only read gets a token that only reads', async () => {
    await new Repository(nimbus, 'acme/app', acme).image({ tag: 'v1' });
    const token = await registryToken(reader, 'repository:acme/app:pull,push,delete');
    const repository = new Repository(nimbus, 'acme/app', token);
    assert.equal((await repository.ask('GET', 'manifests/v1')).status, 200);
    assert.equal((await repository.ask('POST', 'blobs/uploads/')).status, 401);
    const direct = await new Repository(nimbus, 'acme/app', reader).ask('POST', 'blobs/uploads/');
    assert.equal(direct.status, 403);
    assert.deepEqual(Repository.codes(direct), ['DENIED']);
  });

  test('a job pulls and pushes in its org, deletes nothing, and sees no other org', async () => {
    const job = new Repository(nimbus, 'acme/job', jobToken('acme'));
    const image = await job.image({ tag: 'v1' });
    assert.equal((await job.ask('GET', `manifests/${image.digest}`)).status, 200);
    assert.equal((await job.ask('DELETE', 'manifests/v1')).status, 403);
    assert.equal((await new Repository(nimbus, 'evil/job', jobToken('acme')).ask('GET', 'tags/list')).status, 404);
    const pulls = new Repository(nimbus, 'acme/job', jobToken('acme', { scopes: ['registry:pull'] }));
    assert.equal((await pulls.ask('GET', 'manifests/v1')).status, 200);
    assert.equal((await pulls.put('v2', image.text)).status, 403);
    for (const trust of ['fork', 'unproven']) {
      const stranger = new Repository(nimbus, 'acme/job', jobToken('acme', { trust }));
      assert.equal((await stranger.ask('GET', 'manifests/v1')).status, 200);
      assert.equal((await stranger.put('v1', image.text)).status, 403, trust);
      const token = await registryToken(jobToken('acme', { trust }), 'repository:acme/job:pull,push');
      assert.equal((await new Repository(nimbus, 'acme/job', token).put('v1', image.text)).status, 401, trust);
    }
    const none = new Repository(nimbus, 'acme/job', jobToken('acme', { scopes: ['logs'] }));
    assert.equal((await none.ask('GET', 'manifests/v1')).status, 403);
  });

  test('Nimbus’s own runner images are everybody’s to pull and the installation’s to push', async () => {
    const admin = new Repository(nimbus, 'nimbus/tool');
    await admin.image({ tag: 'v1' });
    for (const token of [evil, reader, jobToken('acme')]) {
      const outside = new Repository(nimbus, 'nimbus/tool', token);
      assert.equal((await outside.ask('GET', 'manifests/v1')).status, 200);
      assert.equal((await outside.ask('POST', 'blobs/uploads/')).status, 403);
    }
    const named = new Repository(nimbus, 'nimbus/tool', jobToken('nimbus'));
    assert.equal((await named.ask('POST', 'blobs/uploads/')).status, 403);
  });
});

describe('two orgs', () => {
  test('every request for another org’s repository gets the answer of one that is not there', async () => {
    const repository = new Repository(nimbus, 'acme/secret', acme);
    const bytes = blobOf(100);
    const digest = await repository.push(bytes);
    const image = await repository.image({ tag: 'v1' });
    const upload = (await repository.begin()).split('/').at(-1);
    const asks: [string, string, string?][] = [
      ['GET', 'tags/list'],
      ['GET', 'manifests/v1'],
      ['HEAD', 'manifests/v1'],
      ['GET', `manifests/${image.digest}`],
      ['HEAD', `blobs/${digest}`],
      ['GET', `blobs/${digest}`],
      ['GET', `referrers/${image.digest}`],
      ['PUT', 'manifests/v1', image.text],
      ['DELETE', 'manifests/v1'],
      ['DELETE', `manifests/${image.digest}`],
      ['DELETE', `blobs/${digest}`],
      ['POST', 'blobs/uploads/'],
      ['POST', `blobs/uploads/?mount=${digest}&from=acme/secret`],
      ['PATCH', `blobs/uploads/${upload}`, 'x'],
      ['PUT', `blobs/uploads/${upload}?digest=${digest}`, 'x'],
      ['GET', `blobs/uploads/${upload}`],
      ['DELETE', `blobs/uploads/${upload}`],
    ];
    const credentials: [string, string][] = [
      ['operator', evil],
      ['job', jobToken('evil')],
      ['registry token', await registryToken(evil, 'repository:acme/secret:pull,push,delete', 'repository:acme/never:*')],
    ];
    for (const [kind, token] of credentials) {
      for (const [method, target, body] of asks) {
        const there = await new Repository(nimbus, 'acme/secret', token).ask(method, target, { body });
        const absent = await new Repository(nimbus, 'acme/never', token).ask(method, target, { body });
        assert.ok([401, 404].includes(there.status), `${kind}: ${method} ${target}: ${there.status}`);
        const shape = (reply: Reply) => ({ status: reply.status, codes: Repository.codes(reply), text: reply.body.toString() });
        assert.deepEqual(shape(there), shape(absent), `${kind}: ${method} ${target}`);
      }
    }
    assert.equal((await repository.ask('GET', 'manifests/v1')).body.toString(), image.text);
    assert.ok((await repository.ask('GET', `blobs/${digest}`)).body.equals(bytes));
  });

  test('a digest another org has must be sent, and a mount of it is an ordinary upload', async () => {
    const bytes = blobOf(300);
    const digest = await new Repository(nimbus, 'acme/app', acme).push(bytes);
    const thief = new Repository(nimbus, 'evil/app', evil);
    assert.equal((await thief.ask('HEAD', `blobs/${digest}`)).status, 404);
    for (const query of [`?mount=${digest}`, `?mount=${digest}&from=acme/app`, `?mount=${digest}&from=evil/other`]) {
      assert.equal((await thief.ask('POST', `blobs/uploads/${query}`)).status, 202);
    }
    const empty = await thief.ask('PUT', withDigest(await thief.begin(), digest));
    assert.equal(empty.status, 400);
    assert.equal((await thief.ask('HEAD', `blobs/${digest}`)).status, 404);
    assert.equal((await thief.ask('PUT', withDigest(await thief.begin(), digest), { body: bytes })).status, 201);
    assert.equal((await thief.ask('GET', `blobs/${digest}`)).status, 200);
    // Each has its own: the other's goes on when one goes.
    await thief.ask('DELETE', `blobs/${digest}`);
    assert.equal((await new Repository(nimbus, 'acme/app', acme).ask('GET', `blobs/${digest}`)).status, 200);
  });

  test('lists and purges of repositories stop at the org', async () => {
    await new Repository(nimbus, 'acme/app', acme).image({ tag: 'v1' });
    const seen = (await nimbus.get('/api/v1/repositories', { token: evil })).json.items.map((one: { org: string }) => one.org);
    assert.ok(!seen.includes('acme'));
    assert.ok(!(await nimbus.get('/api/v1/repositories?org=acme', { token: evil })).json.items.length);
    for (const name of ['acme/app', 'acme/never']) {
      assert.equal((await nimbus.request('DELETE', `/api/v1/repositories/${name}`, { token: evil })).status, 404);
    }
    const usage = (await nimbus.get('/api/v1/repository-usage', { token: evil })).json.items;
    assert.ok(usage.every((one: { org: string }) => one.org === 'evil'));
  });

  test('one org’s upload sessions are bounded, another’s are not touched by that', async () => {
    const flood = new Repository(nimbus, 'flood/app', await tokenOf(nimbus, 'flood'));
    let reply = await flood.ask('POST', 'blobs/uploads/');
    for (let i = 0; i < 300 && reply.status === 202; i++) reply = await flood.ask('POST', 'blobs/uploads/');
    assert.equal(reply.status, 429);
    assert.deepEqual(Repository.codes(reply), ['TOOMANYREQUESTS']);
    assert.ok(reply.headers['retry-after']);
    assert.equal((await new Repository(nimbus, 'acme/app', acme).ask('POST', 'blobs/uploads/')).status, 202);
  });

  test('over its quota an org is told so, and another pushes on', async () => {
    const put = await nimbus.request('PUT', '/api/v1/orgs/small', { body: JSON.stringify({ registry_bytes_max: 100_000 }) });
    assert.equal(put.status, 200, put.text);
    const small = new Repository(nimbus, 'small/app', await tokenOf(nimbus, 'small'));
    await small.push(blobOf(60_000));
    const bytes = blobOf(60_000);
    const over = await small.ask('PUT', withDigest(await small.begin(), digestOf(bytes)), { body: bytes });
    assert.equal(over.status, 413, over.body.toString());
    assert.equal((await small.ask('HEAD', `blobs/${digestOf(bytes)}`)).status, 404);
    await new Repository(nimbus, 'acme/app', acme).push(bytes);
    const path = await small.begin();
    const first = await small.ask('PATCH', path, { body: bytes.subarray(0, 30_000) });
    assert.equal(first.status, 202);
    assert.equal((await small.ask('PATCH', location(first), { body: bytes.subarray(30_000) })).status, 413);
  });
});
