// Two orgs attack each other: every storage endpoint, as the running server names them, with every
// credential that is not enough. What is there and what is not get the same answer.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { type Ask, askFrom, bearer, type Foreign, foreignCredentials, type Seen } from './attack.ts';
import { jobToken, saveEntry, uploadArtifact } from './actions.ts';
import { Nimbus } from './nimbus.ts';
import { digestOf, Repository } from './registry.ts';

const victim = 'acme';
const evil = 'evil';
const version = createHash('sha256').update('version').digest('hex');
const digest = (text: string) => createHash('sha256').update(text).digest('hex');
// What is there, what is not: names of one length, so that answers differ in nothing else.
const names = ['secret', 'absent'] as const;
type Name = (typeof names)[number];

let nimbus: Nimbus;
let foreign: Foreign[];
let owner: string;
let run: string;
const ids: Record<string, Record<Name, string>> = {};
const tools: Record<Name, string> = { secret: 'what acme keeps', absent: 'what nobody keeps' };
before(async () => {
  // Nobody listens there: what reaches for the mirror's upstream was let too far.
  nimbus = await Nimbus.start({ config: '[registry.mirrors.up]\nupstream = "http://127.0.0.1:1"\nnamespace = "up.example"\n' });
  foreign = await foreignCredentials(nimbus, victim, evil);
  run = '4711';
  owner = jobToken(nimbus, { org: victim, run, job: 21 });
  await plant();
});
after(() => nimbus.stop());

const own = (method: string, target: string, body?: string, headers = {}) => nimbus.request(method, target, { body, token: owner, headers });

/** Everything of the victim's that an attacker could look for. */
async function plant(): Promise<void> {
  await saveEntry(nimbus, owner, { key: 'secret', version, bytes: tools.secret });
  await uploadArtifact(nimbus, owner, { name: 'secret', run, job: 21, bytes: tools.secret });
  for (const key of ['/cache/secret', `/ac/${digest(tools.secret)}`, `/cas/${digest(tools.secret)}`]) {
    assert.equal((await own('PUT', key, tools.secret, { 'content-type': 'application/octet-stream' })).status, 201, key);
  }
  const admin = (target: string) => nimbus.get(target).then(({ json }) => json.items);
  const pair = (there: number | string) => ({ secret: `${there}`, absent: `${Number(there) + 1000}` });
  ids.entry = pair((await admin('/api/v1/caches?org=acme&key=secret'))[0].id);
  ids.artifact = pair((await admin('/api/v1/artifacts?org=acme'))[0].id);
  const open = await own('POST', '/_apis/artifactcache/caches', JSON.stringify({ key: 'begun', version, cacheSize: 4 }));
  ids.upload = pair(open.json.cacheId);
  const repository = new Repository(nimbus, 'acme/secret');
  const image = await repository.image({ tag: 'secret' });
  await repository.push(tools.secret);
  ids.manifest = { secret: image.digest, absent: digestOf('no manifest') };
  ids.session = { secret: (await repository.begin()).split('/').at(-1) as string, absent: '00000000000000000000000000000000' };
}

const twirp = (service: string, method: string) => `/twirp/github.actions.results.api.v1.${service}/${method}`;
const post = (target: string, value: object): Ask => ({ target, body: JSON.stringify(value) });
const bytes = (target: string, body: string, headers = {}): Ask => ({ target, body, headers: { 'content-type': 'application/octet-stream', ...headers } });
const manifest = JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: { mediaType: 'a/b', digest: digestOf('x'), size: 1 }, layers: [] });

interface Endpoint {
  asks: (name: Name) => Ask[];
  /** A job's org comes from its token: what another org's job gets in the empty place of its own. */
  ofOwn?: number | number[];
  /** A list: what another org has is left out of it, for its operators. */
  list?: boolean;
  /** Only looks: the org's own viewer may. */
  reads?: boolean;
  /** The signature in the URL opens it, and no credential does. */
  signed?: boolean;
  /** Any caller of an org gets this and learns nothing by it. */
  anybody?: number;
}

const artifact = (name: Name, more: object = {}) => ({ workflow_run_backend_id: run, workflow_job_run_backend_id: '21', name, ...more });
const signature = `se=${Math.floor(Date.now() / 1000) + 600}&sig=${'0'.repeat(64)}`;
const below = (name: Name, ...paths: string[]): Ask[] => paths.map((path) => ({ target: `/v2/acme/${name}/${path}` }));

// One row a route; a route of the server's that has no row fails the first test.
const endpoints: Record<string, Endpoint> = {
  'GET /cache/{key}': { asks: (name) => [{ target: `/cache/${name}` }, { target: `/cache/${name}?org=acme&repo=app&ref=refs/heads/main` }], ofOwn: 404, reads: true },
  'PUT /cache/{key}': { asks: (name) => [bytes(`/cache/${name}?org=acme`, 'planted')], ofOwn: [201, 204] },
  'DELETE /cache/{key}': { asks: (name) => [{ target: `/cache/${name}?org=acme` }], ofOwn: 204 },
  'PROPFIND /cache/{key}': { asks: (name) => [{ target: `/cache/${name}?org=acme` }], ofOwn: 404, reads: true },
  'MKCOL /cache/{key}': { asks: (name) => [{ target: `/cache/${name}/?org=acme` }], ofOwn: 201 },
  'GET /ac/{hash}': { asks: (name) => [{ target: `/ac/${digest(tools[name])}?org=acme` }], ofOwn: 404, reads: true },
  'PUT /ac/{hash}': { asks: (name) => [bytes(`/ac/${digest(tools[name])}?org=acme`, 'planted')], ofOwn: [201, 204] },
  'GET /cas/{hash}': { asks: (name) => [{ target: `/cas/${digest(tools[name])}?org=acme` }], ofOwn: 404, reads: true },
  // The digest alone gives nothing: the bytes must be sent.
  'PUT /cas/{hash}': { asks: (name) => [bytes(`/cas/${digest(tools[name])}?org=acme`, '')], ofOwn: 400 },
  'GET /_apis/artifactcache/cache': { asks: (name) => [{ target: `/_apis/artifactcache/cache?keys=${name}&version=${version}` }, { target: `/_apis/artifactcache/cache?keys=${name.slice(0, 3)}&version=${version}` }], ofOwn: 204 },
  'GET /_apis/artifactcache/caches': { asks: (name) => [{ target: `/_apis/artifactcache/caches?key=${name}` }], ofOwn: 200 },
  'POST /_apis/artifactcache/caches': { asks: (name) => [post('/_apis/artifactcache/caches', { key: name, version })], ofOwn: 201 },
  'PATCH /_apis/artifactcache/caches/{id}': { asks: (name) => [bytes(`/_apis/artifactcache/caches/${ids.upload[name]}`, 'evil', { 'content-range': 'bytes 0-3/*' })] },
  'POST /_apis/artifactcache/caches/{id}': { asks: (name) => [post(`/_apis/artifactcache/caches/${ids.upload[name]}`, { size: 4 })] },
  [`POST ${twirp('CacheService', 'GetCacheEntryDownloadURL')}`]: { asks: (name) => [post(twirp('CacheService', 'GetCacheEntryDownloadURL'), { key: name, version, restore_keys: ['s', 'a'] })], ofOwn: 200 },
  [`POST ${twirp('CacheService', 'CreateCacheEntry')}`]: { asks: (name) => [post(twirp('CacheService', 'CreateCacheEntry'), { key: `${name}-2`, version })], ofOwn: 200 },
  [`POST ${twirp('CacheService', 'FinalizeCacheEntryUpload')}`]: { asks: (name) => [post(twirp('CacheService', 'FinalizeCacheEntryUpload'), { key: name, version, size_bytes: `${tools[name].length}` })], ofOwn: [400, 404] },
  // A run's id in the request does not help: the token says whose run it is.
  [`POST ${twirp('ArtifactService', 'CreateArtifact')}`]: { asks: (name) => [post(twirp('ArtifactService', 'CreateArtifact'), artifact(name, { version: 4 }))] },
  [`POST ${twirp('ArtifactService', 'FinalizeArtifact')}`]: { asks: (name) => [post(twirp('ArtifactService', 'FinalizeArtifact'), artifact(name, { size: '1' }))] },
  [`POST ${twirp('ArtifactService', 'ListArtifacts')}`]: { asks: (name) => [post(twirp('ArtifactService', 'ListArtifacts'), artifact(name, { name_filter: name })), post(twirp('ArtifactService', 'ListArtifacts'), artifact(name, { id_filter: ids.artifact[name] }))] },
  [`POST ${twirp('ArtifactService', 'GetSignedArtifactURL')}`]: { asks: (name) => [post(twirp('ArtifactService', 'GetSignedArtifactURL'), artifact(name))] },
  [`POST ${twirp('ArtifactService', 'DeleteArtifact')}`]: { asks: (name) => [post(twirp('ArtifactService', 'DeleteArtifact'), artifact(name))] },
  'GET /blobs/entry/{id}': { asks: (name) => [{ target: `/blobs/entry/${ids.entry[name]}` }, { target: `/blobs/entry/${ids.entry[name]}?${signature}` }], signed: true },
  'GET /blobs/artifact/{id}': { asks: (name) => [{ target: `/blobs/artifact/${ids.artifact[name]}` }, { target: `/blobs/artifact/${ids.artifact[name]}?${signature}` }], signed: true },
  'PUT /blobs/upload/{id}': { asks: (name) => [bytes(`/blobs/upload/${ids.upload[name]}`, 'evil'), bytes(`/blobs/upload/${ids.upload[name]}?${signature}&comp=block&blockid=AAAA`, 'evil')], signed: true },
  'GET /api/v1/caches': { asks: (name) => [{ target: `/api/v1/caches?org=acme&key=${name}` }, { target: `/api/v1/caches?key=${name}` }], list: true, reads: true },
  'GET /api/v1/caches/audit': { asks: () => [{ target: '/api/v1/caches/audit?org=acme' }], list: true, reads: true },
  'GET /api/v1/caches/usage': { asks: (name) => [{ target: `/api/v1/caches/usage?org=${name === 'secret' ? 'acme' : 'none'}` }], list: true, reads: true },
  'GET /api/v1/caches/org-usage': { asks: (name) => [{ target: `/api/v1/caches/org-usage?org=${name === 'secret' ? 'acme' : 'none'}` }], list: true, reads: true },
  'DELETE /api/v1/caches': { asks: (name) => [{ target: `/api/v1/caches?org=${name === 'secret' ? 'acme' : 'none'}&key=secret` }] },
  'DELETE /api/v1/caches/{id}': { asks: (name) => [{ target: `/api/v1/caches/${ids.entry[name]}` }] },
  'GET /api/v1/artifacts': { asks: (name) => [{ target: `/api/v1/artifacts?org=acme&name=${name}` }, { target: `/api/v1/artifacts?run=${run}` }], list: true, reads: true },
  'DELETE /api/v1/artifacts': { asks: (name) => [{ target: `/api/v1/artifacts?org=${name === 'secret' ? 'acme' : 'none'}&name=secret` }] },
  'GET /api/v1/artifacts/{id}/content': { asks: (name) => [{ target: `/api/v1/artifacts/${ids.artifact[name]}/content` }], reads: true },
  'DELETE /api/v1/artifacts/{id}': { asks: (name) => [{ target: `/api/v1/artifacts/${ids.artifact[name]}` }] },
  'GET /api/v1/repositories': { asks: (name) => [{ target: `/api/v1/repositories?org=${name === 'secret' ? 'acme' : 'none'}` }], list: true, reads: true },
  'GET /api/v1/repository-usage': { asks: (name) => [{ target: `/api/v1/repository-usage?org=${name === 'secret' ? 'acme' : 'none'}` }], list: true, reads: true },
  'GET /api/v1/repositories/{name}': { asks: (name) => [{ target: `/api/v1/repositories/acme/${name}` }, { target: `/api/v1/repositories/mirror:up/library/${name}` }], reads: true },
  'GET /api/v1/repository-tags': { asks: (name) => [{ target: `/api/v1/repository-tags?repository=acme/${name}` }], reads: true },
  'GET /api/v1/repository-manifests': { asks: (name) => [{ target: `/api/v1/repository-manifests?repository=acme/${name}` }], reads: true },
  'DELETE /api/v1/repositories/{name}': { asks: (name) => [{ target: `/api/v1/repositories/acme/${name}` }, { target: `/api/v1/repositories/acme/${name}?tag=secret` }, { target: `/api/v1/repositories/mirror:up/library/${name}` }] },
  'GET /v2': { asks: () => [{ target: '/v2' }, { target: '/v2/' }], reads: true, anybody: 200 },
  'GET /v2/token': { asks: (name) => [{ target: `/v2/token?service=nimbus-registry&scope=repository:acme/${name}:pull,push,delete` }], reads: true, anybody: 200 },
  'POST /v2/token': { asks: () => [{ target: '/v2/token', body: 'grant_type=password' }], anybody: 405 },
  'GET /v2/{path}': {
    asks: (name) => below(name, 'tags/list', `manifests/${name}`, `manifests/${ids.manifest[name]}`, `blobs/sha256:${digest(tools[name])}`, `referrers/${ids.manifest[name]}`, `blobs/uploads/${ids.session[name]}`),
    reads: true,
  },
  'POST /v2/{path}': {
    asks: (name) => below(name, 'blobs/uploads/', `blobs/uploads/?mount=sha256:${digest(tools[name])}&from=acme/${name}`, `blobs/uploads/?digest=sha256:${digest(tools[name])}`),
  },
  'PUT /v2/{path}': {
    asks: (name) => [{ target: `/v2/acme/${name}/manifests/${name}`, body: manifest, headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' } }, bytes(`/v2/acme/${name}/blobs/uploads/${ids.session[name]}?digest=sha256:${digest('evil')}`, 'evil')],
  },
  'PATCH /v2/{path}': { asks: (name) => [bytes(`/v2/acme/${name}/blobs/uploads/${ids.session[name]}`, 'evil')] },
  'DELETE /v2/{path}': { asks: (name) => below(name, `manifests/${name}`, `manifests/${ids.manifest[name]}`, `blobs/sha256:${digest(tools[name])}`, `blobs/uploads/${ids.session[name]}`) },
};

// Whatever else the server answers is another suite's.
const notStorage = /^\/(webhooks\/github|healthz|readyz|metrics|openapi\.json|v1\/(logs|traces|metrics)|api\/v1\/(jobs|logs|events|agents|audit|orgs|tokens|session|deliveries|evals)(\/.*)?)$/;

/** Every storage route of the running server: its paths by its description, their methods by itself. */
async function servedRoutes(): Promise<string[]> {
  const { paths } = (await nimbus.get('/openapi.json', { token: null })).json;
  const storage = Object.keys(paths).filter((path) => !notStorage.test(path));
  const sampleOf = (path: string) => path.replace('{path}', 'acme/x/tags/list').replace(/\{\w+\}/g, '1');
  const covers = (path: string, sample: string) => new RegExp(`^${path.replace('{path}', '.+').replace(/\{\w+\}/g, '[^/]+')}$`).test(sample);
  const routes = [];
  for (const path of storage) {
    const sample = sampleOf(path);
    const probe = await askFrom(nimbus, 'PROBE', { target: sample });
    assert.equal(probe.status, 405, `${path}: ${probe.text}`);
    for (const method of `${probe.headers.allow}`.split(', ')) {
      // `caches/{id}` answers at `caches/audit` too, with the methods that the latter has not.
      const ofWider = !paths[path][method.toLowerCase()] && storage.some((other) => other !== path && covers(other, sample) && paths[other][method.toLowerCase()]);
      if (method !== 'HEAD' && !ofWider) routes.push(`${method} ${path}`);
    }
  }
  return routes;
}

test('every route of the storage roles stands in the matrix, and nothing else does', async () => {
  assert.deepEqual((await servedRoutes()).sort(), Object.keys(endpoints).sort());
});

const asList = (wanted: number | number[] | undefined) => (wanted === undefined ? [] : [wanted].flat());

/** The statuses that this credential may get there; undefined: it has a right to more. */
function allowed(endpoint: Endpoint, route: string, { kind }: Foreign): number[] | undefined {
  if (kind === 'viewer' && endpoint.reads) return undefined;
  if (endpoint.signed) return [403];
  if (kind === 'void') return endpoint.anybody === 405 ? [405] : [401];
  if (endpoint.anybody) return [endpoint.anybody];
  if (kind === 'password') return [401, 403, 404, ...asList(endpoint.ofOwn)];
  if (kind === 'fork') {
    const registryRead = route.startsWith('GET /v2');
    return endpoint.ofOwn || registryRead ? undefined : [401, 403, 404];
  }
  if (kind === 'job' && endpoint.ofOwn) return asList(endpoint.ofOwn);
  if (kind === 'operator' && endpoint.list) return [200];
  return [401, 403, 404];
}

/** What an answer tells, apart from what the asker said and from what is new in every answer. */
function told(seen: Seen, name: Name): object {
  const said = [name, ids.manifest[name], digest(tools[name]), ids.session[name], ids.entry[name], ids.artifact[name], ids.upload[name]];
  const long = said.filter((word) => word.length > 3);
  const plain = (text: string) => {
    for (const word of long) text = text.replaceAll(word, '*');
    return text
      .replace(/"cacheId":\d+/, '"cacheId":0')
      .replace(/\/blobs\/upload\/\d+\?se=\d+&sig=[^"&]+/, 'UPLOAD')
      .replace(/"(token|access_token|issued_at|request_id|instance)":"[^"]*"/g, '"$1":0')
      .replace(/<RequestId>[^<]*/, '<RequestId>');
  };
  const { date: _date, 'content-length': _length, 'x-request-id': _id, ...headers } = seen.headers;
  return { status: seen.status, text: plain(seen.text), headers: JSON.parse(plain(JSON.stringify(headers))) };
}

describe('a credential that is not enough learns nothing and changes nothing', () => {
  for (const [route, endpoint] of Object.entries(endpoints)) {
    test(route, async () => {
      const [method] = route.split(' ');
      const faults: string[] = [];
      for (const credential of foreign) {
        const statuses = allowed(endpoint, route, credential);
        if (!statuses) continue;
        const there = endpoint.asks('secret');
        const absent = endpoint.asks('absent');
        for (let i = 0; i < there.length; i++) {
          const [one, other] = [await askFrom(nimbus, method, there[i], credential.headers), await askFrom(nimbus, method, absent[i], credential.headers)];
          const what = `${credential.name}: ${method} ${there[i].target}`;
          if (!statuses.includes(one.status)) faults.push(`${what}: ${one.status} ${one.text}`);
          if (endpoint.list && one.status === 200 && JSON.parse(one.text).items.some((item: { org?: string }) => item.org !== evil)) faults.push(`${what} lists ${one.text}`);
          try {
            assert.deepEqual(told(one, 'secret'), told(other, 'absent'));
          } catch (error) {
            faults.push(`${what} tells existence: ${(error as Error).message}`);
          }
        }
      }
      assert.deepEqual(faults, []);
    });
  }

  test('HEAD tells no more than GET', async () => {
    for (const [route, endpoint] of Object.entries(endpoints)) {
      if (!route.startsWith('GET ')) continue;
      for (const credential of foreign.filter((one) => allowed(endpoint, route, one))) {
        for (const [i, there] of endpoint.asks('secret').entries()) {
          const seen = [await askFrom(nimbus, 'HEAD', there, credential.headers), await askFrom(nimbus, 'HEAD', endpoint.asks('absent')[i], credential.headers)];
          assert.deepEqual(told(seen[0], 'secret'), told(seen[1], 'absent'), `${credential.name}: HEAD ${there.target}`);
        }
      }
    }
  });

  test('a mirrored image is for callers of an org, and nobody changes it', async () => {
    for (const credential of foreign) {
      const target = '/v2/library/tool/manifests/v1?ns=up.example';
      const status = async (method: string) => (await askFrom(nimbus, method, { target }, credential.headers)).status;
      if (credential.kind === 'void') assert.equal(await status('GET'), 401, credential.name);
      if (credential.kind === 'other' && credential.name !== 'an agent') assert.equal(await status('GET'), 404, credential.name);
      for (const method of ['PUT', 'DELETE', 'POST', 'PATCH']) assert.equal(await status(method), credential.kind === 'void' ? 401 : 404, `${credential.name}: ${method}`);
    }
  });

  test('what the victim has is as it was', async () => {
    for (const key of ['/cache/secret', `/ac/${digest(tools.secret)}`, `/cas/${digest(tools.secret)}`]) {
      assert.equal((await own('GET', key)).text, tools.secret, key);
    }
    const found = await own('GET', `/_apis/artifactcache/cache?keys=secret&version=${version}`);
    assert.equal(await (await fetch(found.json.archiveLocation)).text(), tools.secret);
    const url = (await own('POST', twirp('ArtifactService', 'GetSignedArtifactURL'), JSON.stringify(artifact('secret')))).json.signed_url;
    assert.equal(await (await fetch(url)).text(), tools.secret);
    const repository = new Repository(nimbus, 'acme/secret', owner);
    assert.equal((await repository.ask('GET', 'manifests/secret')).headers['docker-content-digest'], ids.manifest.secret);
    assert.equal((await repository.ask('GET', `blobs/sha256:${digest(tools.secret)}`)).body.toString(), tools.secret);
    const session = await repository.ask('GET', `blobs/uploads/${ids.session.secret}`);
    assert.equal(session.status, 204);
    assert.equal((await nimbus.get('/api/v1/caches?org=acme')).json.items.length, 4);
    assert.equal((await own('PATCH', `/_apis/artifactcache/caches/${ids.upload.secret}`, 'mine', { 'content-type': 'application/octet-stream', 'content-range': 'bytes 0-3/*' })).status, 204);
    assert.equal((await own('POST', `/_apis/artifactcache/caches/${ids.upload.secret}`, JSON.stringify({ size: 4 }))).status, 204);
    const trail = (await nimbus.get('/api/v1/audit?org=acme&limit=1000')).json.items;
    assert.ok(trail.every((row: { who: string; what: string }) => !/purged|removed/.test(row.what)), 'nobody wrote of removals into the victim’s audit log');
  });
});

test('a signed URL opens what it was made for, and until it runs out', async () => {
  const own = jobToken(nimbus, { org: evil });
  await saveEntry(nimbus, own, { key: 'mine', version, bytes: 'mine' });
  const found = await nimbus.get(`/_apis/artifactcache/cache?keys=mine&version=${version}`, { token: own });
  const url = new URL(found.json.archiveLocation);
  assert.equal(await (await fetch(url)).text(), 'mine');
  const changes: ((changed: URL) => void)[] = [
    (changed) => (changed.pathname = `/blobs/entry/${ids.entry.secret}`),
    (changed) => (changed.pathname = url.pathname.replace('entry', 'artifact')),
    (changed) => (changed.pathname = url.pathname.replace('entry', 'upload')),
    (changed) => changed.searchParams.set('se', `${Number(url.searchParams.get('se')) + 1}`),
    (changed) => changed.searchParams.set('se', '1'),
    (changed) => changed.searchParams.delete('sig'),
  ];
  for (const change of changes) {
    const changed = new URL(url);
    change(changed);
    const method = changed.pathname.startsWith('/blobs/upload') ? 'PUT' : 'GET';
    const seen = await askFrom(nimbus, method, { target: changed.pathname + changed.search }, bearer(owner));
    assert.equal(seen.status, 403, `${changed.pathname}${changed.search}`);
  }
});
