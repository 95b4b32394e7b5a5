// Manifests, tags and referrers of the registry, case for case as the OCI distribution
// specification's own tests have them: every kind of manifest pushed, read, listed and deleted.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { Nimbus } from './nimbus.ts';
import { type Algorithm, blobOf, type Descriptor, describes, digestOf, Repository, types } from './registry.ts';

let nimbus: Nimbus;
before(async () => {
  nimbus = await Nimbus.start();
});
after(() => nimbus.stop());

const fresh = () => new Repository(nimbus, `acme/r${randomBytes(6).toString('hex')}`);

/** Pushes a manifest by digest and by tag, reads it both ways, and takes it away again. */
async function roundTrip(repository: Repository, text: string, mediaType: string, { algorithm = 'sha256' as Algorithm, subject = '' } = {}) {
  const digest = digestOf(text, algorithm);
  const references = algorithm === 'sha256' ? [digest, 'v1'] : [digest];
  for (const reference of references) {
    const put = await repository.put(reference, text, mediaType);
    assert.equal(put.status, 201, put.body.toString());
    assert.equal(put.headers['docker-content-digest'], digest);
    assert.equal(put.headers['oci-subject'], subject || undefined);
    assert.ok(put.headers.location?.endsWith(`/manifests/${digest}`));
    for (const method of ['GET', 'HEAD']) {
      const got = await repository.ask(method, `manifests/${reference}`, { headers: { accept: 'text/plain' } });
      assert.equal(got.status, 200);
      assert.equal(got.headers['content-type'], mediaType);
      assert.equal(got.headers['docker-content-digest'], digest);
      assert.equal(got.headers['content-length'], `${Buffer.byteLength(text)}`);
      assert.equal(got.body.toString(), method === 'GET' ? text : '');
    }
  }
  return digest;
}

async function takeAway(repository: Repository, digest: string, tagged: boolean) {
  if (tagged) {
    assert.equal((await repository.ask('DELETE', 'manifests/v1')).status, 202);
    assert.equal((await repository.ask('GET', 'manifests/v1')).status, 404);
    assert.equal((await repository.ask('GET', `manifests/${digest}`)).status, 200, 'the manifest stays');
  }
  assert.equal((await repository.ask('DELETE', `manifests/${digest}`)).status, 202);
  const gone = await repository.ask('GET', `manifests/${digest}`);
  assert.equal(gone.status, 404);
  assert.deepEqual(Repository.codes(gone), ['MANIFEST_UNKNOWN']);
  assert.equal((await repository.ask('DELETE', `manifests/${digest}`)).status, 404);
}

const image = async (repository: Repository, { layers = [] as Descriptor[], more = {} } = {}) => {
  const config = JSON.stringify({ os: 'linux', architecture: 'amd64' });
  await repository.push(config);
  return JSON.stringify({ schemaVersion: 2, mediaType: types.manifest, config: describes(config, types.config), layers, ...more });
};

const layer = async (repository: Repository, algorithm: Algorithm = 'sha256') => {
  const bytes = blobOf(700);
  await repository.push(bytes, algorithm);
  return describes(bytes, types.layer, algorithm);
};

describe('kinds of manifests', () => {
  // What `--cache-to type=registry` pushes: an index of layers by default, an image manifest with
  // image-manifest=true; both with BuildKit's own description of the cache as a blob.
  test('a layer cache of BuildKit, in both its shapes', async () => {
    const cacheConfig = 'application/vnd.buildkit.cacheconfig.v0';
    const repository = fresh();
    const layers = [await layer(repository), await layer(repository)].map((one) => ({ ...one, mediaType: `${types.layer}+zstd`, annotations: { 'buildkit/createdat': '2026-01-01T00:00:00Z', 'containerd.io/uncompressed': one.digest } }));
    const config = JSON.stringify({ layers: layers.map(({ digest }) => ({ blob: digest, parent: -1 })), records: [] });
    const described = describes(config, cacheConfig);
    const index = JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests: [...layers, described] });
    const early = await repository.put('main', index, types.index);
    assert.deepEqual(Repository.codes(early), ['MANIFEST_BLOB_UNKNOWN'], 'not before each of its blobs is there');
    await repository.push(config);
    const asIndex = await roundTrip(repository, index, types.index);
    for (const { digest } of [...layers, described]) {
      assert.equal(digestOf((await repository.ask('GET', `blobs/${digest}`)).body), digest);
    }
    const image = JSON.stringify({ schemaVersion: 2, mediaType: types.manifest, config: described, layers });
    const asImage = await roundTrip(repository, image, types.manifest);
    await takeAway(repository, asImage, true);
    assert.equal((await repository.ask('GET', `blobs/${described.digest}`)).status, 200, 'the other one needs it');
    await takeAway(repository, asIndex, false);
  });

  test('an image', async () => {
    const repository = fresh();
    const text = await image(repository, { layers: [await layer(repository), await layer(repository)] });
    await takeAway(repository, await roundTrip(repository, text, types.manifest), true);
  });

  test('an image without layers, one with fields of its own, one with inline data', async () => {
    const repository = fresh();
    const one = await layer(repository);
    const data = '{}';
    await repository.push(data);
    const texts = [
      await image(repository),
      await image(repository, { layers: [one], more: { 'org.example.custom': { deep: [1, { x: null }] }, number: 1.5 } }),
      await image(repository, { layers: [{ ...describes(data, types.empty), data: Buffer.from(data).toString('base64') }] }),
      `${await image(repository, { layers: [one] })}\n  \n`,
    ];
    for (const text of texts) await takeAway(repository, await roundTrip(repository, text, types.manifest), true);
  });

  test('an image whose layer is never pushed, because it may not be distributed', async () => {
    const repository = fresh();
    const foreign = { mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar', digest: digestOf('elsewhere'), size: 9, urls: ['https://example.org/layer'] };
    await roundTrip(repository, await image(repository, { layers: [foreign] }), types.manifest);
  });

  test('by sha512, with layers of both algorithms', async () => {
    const repository = fresh();
    const text = await image(repository, { layers: [await layer(repository, 'sha512'), await layer(repository)] });
    await takeAway(repository, await roundTrip(repository, text, types.manifest, { algorithm: 'sha512' }), false);
  });

  test('as Docker writes them', async () => {
    const repository = fresh();
    const config = '{"docker":true}';
    await repository.push(config);
    const text = JSON.stringify({ schemaVersion: 2, mediaType: types.dockerManifest, config: describes(config, 'application/vnd.docker.container.image.v1+json'), layers: [] });
    const digest = await roundTrip(repository, text, types.dockerManifest);
    const list = JSON.stringify({ schemaVersion: 2, mediaType: types.dockerList, manifests: [{ ...describes(text, types.dockerManifest), platform: { os: 'linux', architecture: 'amd64' } }] });
    await roundTrip(repository, list, types.dockerList);
    assert.equal((await repository.ask('GET', `manifests/${digest}`)).status, 200);
  });

  test('an index, an index of indexes, and the index of a build cache, whose entries are layers', async () => {
    const repository = fresh();
    const child = await image(repository, { layers: [await layer(repository)] });
    await roundTrip(repository, child, types.manifest);
    const index = JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests: [describes(child, types.manifest)] });
    await roundTrip(repository, index, types.index);
    const outer = JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests: [describes(index, types.index)] });
    await roundTrip(repository, outer, types.index);
    const cache = JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests: [await layer(repository)] });
    await takeAway(repository, await roundTrip(repository, cache, types.index), true);
  });

  test('tags given with a push by digest', async () => {
    const repository = fresh();
    const text = await image(repository);
    const tags = Array.from({ length: 12 }, (_, i) => `t${i}`);
    const put = await repository.put(`${digestOf(text)}?${tags.map((tag) => `tag=${tag}`).join('&')}`, text);
    assert.equal(put.status, 201, put.body.toString());
    const told = put.rawHeaders.filter((_, i) => put.rawHeaders[i - 1]?.toLowerCase() === 'oci-tag' && i % 2 === 1);
    assert.deepEqual(told, tags);
    for (const tag of tags) assert.equal((await repository.ask('HEAD', `manifests/${tag}`)).headers['docker-content-digest'], digestOf(text));
  });
});

describe('manifests that are refused', () => {
  test('one that names what the repository lacks, and nothing of it stays', async () => {
    const repository = fresh();
    const missing = describes('missing', types.layer);
    for (const [text, type] of [
      [await image(repository, { layers: [missing] }), types.manifest],
      [JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests: [describes('none', types.manifest)] }), types.index],
    ]) {
      const put = await repository.put('v1', text, type);
      assert.equal(put.status, 400);
      assert.deepEqual(Repository.codes(put), ['MANIFEST_BLOB_UNKNOWN']);
    }
    assert.equal((await repository.ask('GET', 'manifests/v1')).status, 404);
  });

  test('a blob of another repository does not count', async () => {
    const [one, two] = [fresh(), fresh()];
    const text = await image(two, { layers: [await layer(one)] });
    assert.equal((await two.put('v1', text)).status, 400);
  });

  test('bytes that are not the digest they are pushed by', async () => {
    const repository = fresh();
    const text = await image(repository);
    for (const digest of [digestOf('other'), 'sha256:baddigeststring']) {
      const put = await repository.put(digest, text);
      assert.equal(put.status, 400);
      assert.deepEqual(Repository.codes(put), ['DIGEST_INVALID']);
    }
    assert.equal((await repository.ask('GET', 'manifests/sha256:baddigeststring')).status, 400);
    assert.equal((await repository.ask('GET', `manifests/${digestOf('other')}`)).status, 404);
    assert.equal((await repository.ask('GET', 'manifests/missing')).status, 404);
  });

  test('what is no manifest, is of two kinds, or says another type than its own', async () => {
    const repository = fresh();
    const text = await image(repository);
    const wrong: [string, string][] = [
      ['', types.manifest],
      ['{', types.manifest],
      ['{}', types.manifest],
      [text, types.index],
      [text, 'text/plain'],
      [text.replace('"schemaVersion":2', '"schemaVersion":1'), types.manifest],
      [JSON.stringify({ ...JSON.parse(text), manifests: [] }), types.manifest],
      [`${'['.repeat(1000)}`, types.manifest],
    ];
    for (const [body, type] of wrong) {
      const put = await repository.put('v1', body, type);
      assert.equal(put.status, 400, body.slice(0, 80));
      assert.deepEqual(Repository.codes(put), ['MANIFEST_INVALID']);
    }
  });

  test('one over 4 MiB', async () => {
    const put = await fresh().put('v1', `{"schemaVersion":2,"x":"${'y'.repeat(4 << 20)}"}`);
    assert.equal(put.status, 413);
  });

  test('tags the grammar does not have', async () => {
    const repository = fresh();
    const text = await image(repository);
    for (const tag of ['-v1', '.v1', 'a'.repeat(129), 'a%20b']) {
      assert.equal((await repository.put(tag, text)).status, 400, tag);
    }
  });
});

describe('tags', () => {
  test('are listed in order, in pages', async () => {
    const repository = fresh();
    const text = await image(repository);
    const tags = ['B', 'a', 'b1', 'b10', 'b2', 'c'];
    for (const tag of tags) await repository.put(tag, text);
    const sorted = [...tags].sort();
    assert.deepEqual((await repository.ask('GET', 'tags/list')).json, { name: repository.name, tags: sorted });
    const seen: string[] = [];
    let next: string | undefined = `/v2/${repository.name}/tags/list?n=4`;
    while (next) {
      const page = await repository.ask('GET', next);
      assert.equal(page.status, 200);
      seen.push(...page.json.tags);
      next = /<([^>]+)>; rel="next"/.exec(`${page.headers.link ?? ''}`)?.[1];
    }
    assert.deepEqual(seen, sorted);
    assert.deepEqual((await repository.ask('GET', 'tags/list?last=b1')).json.tags, ['b10', 'b2', 'c']);
    const none = await repository.ask('GET', 'tags/list?n=0');
    assert.deepEqual(none.json.tags, []);
    assert.equal(none.headers.link, undefined);
    assert.equal((await repository.ask('GET', 'tags/list?n=x')).status, 400);
    assert.equal((await repository.ask('GET', 'tags/list?n=1000000000000000000000')).json.tags.length, 6);
  });

  test('move, and the last one to come wins', async () => {
    const repository = fresh();
    const [one, two] = [await repository.image({ tag: 'v' }), await repository.image({ tag: 'v' })];
    assert.equal((await repository.ask('GET', 'manifests/v')).body.toString(), two.text);
    assert.equal((await repository.ask('GET', `manifests/${one.digest}`)).status, 200);
  });

  test('of a repository that is not there', async () => {
    const reply = await fresh().ask('GET', 'tags/list');
    assert.equal(reply.status, 404);
    assert.deepEqual(Repository.codes(reply), ['NAME_UNKNOWN']);
  });

  test('go with the manifest they point to', async () => {
    const repository = fresh();
    const { digest } = await repository.image({ tag: 'v1' });
    await repository.ask('DELETE', `manifests/${digest}`);
    assert.deepEqual((await repository.ask('GET', 'tags/list')).json.tags, []);
  });
});

describe('referrers', () => {
  const listed = async (repository: Repository, subject: string, query = '') => {
    const reply = await repository.ask('GET', `referrers/${subject}${query}`);
    assert.equal(reply.status, 200);
    assert.equal(reply.headers['content-type'], types.index);
    assert.equal(reply.json.schemaVersion, 2);
    assert.equal(reply.json.mediaType, types.index);
    return reply;
  };

  test('of what nothing refers to are an empty index, never 404', async () => {
    assert.deepEqual((await listed(fresh(), digestOf('nothing'))).json.manifests, []);
    const bad = await fresh().ask('GET', 'referrers/sha256:bad');
    assert.equal(bad.status, 400);
  });

  for (const pushed of [true, false]) {
    test(`are listed with type and annotations, also when the subject is ${pushed ? 'there' : 'missing'}`, async () => {
      const repository = fresh();
      const subjectText = await image(repository);
      const subject = describes(subjectText, types.manifest);
      if (pushed) await repository.put('v1', subjectText);
      const empty = '{}';
      await repository.push(empty);
      const base = { schemaVersion: 2, mediaType: types.manifest, config: describes(empty, types.empty), layers: [describes(empty, types.empty)], subject };
      const artifact = JSON.stringify({ ...base, artifactType: 'application/vnd.example.sbom', annotations: { 'org.example': 'one' } });
      const configTyped = JSON.stringify({ ...base, config: describes(empty, 'application/vnd.example.config'), annotations: { a: 'ü' } });
      const index = JSON.stringify({ schemaVersion: 2, mediaType: types.index, artifactType: 'application/vnd.example.index', manifests: [], subject });
      await roundTrip(repository, artifact, types.manifest, { subject: subject.digest });
      await repository.put(digestOf(configTyped), configTyped);
      await repository.put(digestOf(index), index, types.index);
      const all = (await listed(repository, subject.digest)).json.manifests as Descriptor[];
      const expected: Descriptor[] = [
        { ...describes(artifact, types.manifest), artifactType: 'application/vnd.example.sbom', annotations: { 'org.example': 'one' } },
        { ...describes(configTyped, types.manifest), artifactType: 'application/vnd.example.config', annotations: { a: 'ü' } },
        { ...describes(index, types.index), artifactType: 'application/vnd.example.index' },
      ];
      assert.deepEqual(all, expected.sort((a, b) => (a.digest < b.digest ? -1 : 1)));
      const filtered = await listed(repository, subject.digest, '?artifactType=application%2Fvnd.example.sbom');
      assert.equal(filtered.headers['oci-filters-applied'], 'artifactType');
      assert.deepEqual(filtered.json.manifests.map((entry: Descriptor) => entry.digest), [digestOf(artifact)]);
      await repository.ask('DELETE', `manifests/${digestOf(artifact)}`);
      assert.equal((await listed(repository, subject.digest)).json.manifests.length, 2);
    });
  }

  test('come in pages', async () => {
    const repository = fresh();
    const subject = describes('subject', types.manifest);
    for (let i = 0; i < 5; i++) {
      const text = JSON.stringify({ schemaVersion: 2, mediaType: types.index, artifactType: 'a/b', manifests: [], subject, annotations: { i: `${i}` } });
      assert.equal((await repository.put(digestOf(text), text, types.index)).status, 201);
    }
    const seen: string[] = [];
    let next: string | undefined = `/v2/${repository.name}/referrers/${subject.digest}?n=2&artifactType=a%2Fb`;
    while (next) {
      const page = await repository.ask('GET', next);
      assert.ok(page.json.manifests.length <= 2);
      seen.push(...page.json.manifests.map((entry: Descriptor) => entry.digest));
      next = /<([^>]+)>; rel="next"/.exec(`${page.headers.link ?? ''}`)?.[1];
    }
    assert.equal(new Set(seen).size, 5);
  });
});
