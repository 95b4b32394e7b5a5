// Blobs of the registry, case for case as the OCI distribution specification's own tests have them:
// every way to push one, with both digest algorithms, ranges, and what must be refused.
import assert from 'node:assert/strict';
import http from 'node:http';
import { after, before, describe, test } from 'node:test';
import { Nimbus, until } from './nimbus.ts';
import { type Algorithm, blobOf, digestOf, location, type Reply, Repository, withDigest } from './registry.ts';

let nimbus: Nimbus;
let repository: Repository;
let other: Repository;
before(async () => {
  nimbus = await Nimbus.start();
  repository = new Repository(nimbus, 'acme/app');
  other = new Repository(nimbus, 'acme/other');
});
after(() => nimbus.stop());

async function expectStored(from: Repository, reply: Reply, bytes: Buffer, digest: string) {
  assert.equal(reply.status, 201, reply.body.toString());
  assert.equal(reply.headers['docker-content-digest'], digest);
  const pulled = await from.ask('GET', location(reply));
  assert.equal(pulled.status, 200);
  assert.equal(pulled.headers['docker-content-digest'], digest);
  assert.equal(pulled.headers['content-length'], `${bytes.length}`);
  assert.ok(pulled.body.equals(bytes));
  const head = await from.ask('HEAD', `blobs/${digest}`);
  assert.equal(head.status, 200);
  assert.equal(head.headers['content-length'], `${bytes.length}`);
  assert.equal(head.body.length, 0);
  assert.equal((await from.ask('DELETE', `blobs/${digest}`)).status, 202);
  assert.equal((await from.ask('GET', `blobs/${digest}`)).status, 404);
}

const patch = (path: string, bytes: Buffer, first: number) =>
  repository.ask('PATCH', path, {
    body: bytes,
    headers: { 'content-type': 'application/octet-stream', 'content-range': `${first}-${first + bytes.length - 1}` },
  });

for (const algorithm of ['sha256', 'sha512'] as Algorithm[]) {
  describe(`blobs by ${algorithm}`, () => {
    const make = (size = 512) => {
      const bytes = blobOf(size);
      return { bytes, digest: digestOf(bytes, algorithm) };
    };

    test('one that was never pushed is not there', async () => {
      const reply = await repository.ask('GET', `blobs/${make().digest}`);
      assert.equal(reply.status, 404);
      assert.deepEqual(Repository.codes(reply), ['BLOB_UNKNOWN']);
    });

    test('a single POST', async () => {
      const { bytes, digest } = make();
      await expectStored(repository, await repository.ask('POST', withDigest('blobs/uploads/', digest), { body: bytes }), bytes, digest);
    });

    test('POST, then PUT with the bytes', async () => {
      const { bytes, digest } = make();
      await expectStored(repository, await repository.ask('PUT', withDigest(await repository.begin(), digest), { body: bytes }), bytes, digest);
    });

    test('PUT without a length', async () => {
      const { bytes, digest } = make(100_000);
      await expectStored(repository, await repository.ask('PUT', withDigest(await repository.begin(), digest), { body: bytes, chunked: true }), bytes, digest);
    });

    test('the algorithm named at the start', async () => {
      const { bytes, digest } = make();
      const path = await repository.begin(`?digest-algorithm=${algorithm}`);
      await expectStored(repository, await repository.ask('PUT', withDigest(path, digest), { body: bytes }), bytes, digest);
    });

    test('a single chunk', async () => {
      const { bytes, digest } = make();
      const sent = await patch(await repository.begin(), bytes, 0);
      assert.equal(sent.status, 202);
      assert.equal(sent.headers.range, '0-511');
      await expectStored(repository, await repository.ask('PUT', withDigest(location(sent), digest)), bytes, digest);
    });

    for (const lastInPut of [false, true]) {
      test(`three chunks${lastInPut ? ', the last in PUT' : ''}`, async () => {
        const { bytes, digest } = make(3000);
        let path = await repository.begin();
        for (const first of [0, 1000, 2000].slice(0, lastInPut ? 2 : 3)) {
          const sent = await patch(path, bytes.subarray(first, first + 1000), first);
          assert.equal(sent.status, 202);
          assert.equal(sent.headers.range, `0-${first + 999}`);
          path = location(sent);
        }
        const last = lastInPut ? { body: bytes.subarray(2000), headers: { 'content-range': '2000-2999' } } : {};
        await expectStored(repository, await repository.ask('PUT', withDigest(path, digest), last), bytes, digest);
      });
    }

    test('chunks out of order get 416, and the upload goes on from where it was', async () => {
      const { bytes, digest } = make(3000);
      let path = await repository.begin();
      assert.equal((await patch(path, bytes.subarray(1000, 2000), 1000)).status, 416);
      path = location(await patch(path, bytes.subarray(0, 1000), 0));
      for (const wrong of [0, 2000]) {
        const refused = await patch(path, bytes.subarray(wrong, wrong + 1000), wrong);
        assert.equal(refused.status, 416);
        assert.equal(refused.headers.range, '0-999');
      }
      const put = await repository.ask('PUT', withDigest(path, digest), { body: bytes.subarray(2000), headers: { 'content-range': '2000-2999' } });
      assert.equal(put.status, 416);
      const status = await repository.ask('GET', path);
      assert.equal(status.status, 204);
      assert.equal(status.headers.range, '0-999');
      path = location(await patch(location(status), bytes.subarray(1000, 2000), 1000));
      path = location(await patch(path, bytes.subarray(2000), 2000));
      await expectStored(repository, await repository.ask('PUT', withDigest(path, digest)), bytes, digest);
    });

    test('a stream', async () => {
      const { bytes, digest } = make(300_000);
      const sent = await repository.ask('PATCH', await repository.begin(), { body: bytes, chunked: true, headers: { 'content-type': 'application/octet-stream' } });
      assert.equal(sent.status, 202);
      assert.equal(sent.headers.range, '0-299999');
      await expectStored(repository, await repository.ask('PUT', withDigest(location(sent), digest)), bytes, digest);
    });

    test('mounted from another repository of the org', async () => {
      const { bytes, digest } = make();
      await other.push(bytes, algorithm);
      const reply = await repository.ask('POST', `blobs/uploads/?mount=${encodeURIComponent(digest)}&from=${encodeURIComponent(other.name)}`);
      await expectStored(repository, reply, bytes, digest);
      assert.equal((await other.ask('GET', `blobs/${digest}`)).status, 200);
    });

    test('mounted without saying from where', async () => {
      const { bytes, digest } = make();
      await other.push(bytes, algorithm);
      await expectStored(repository, await repository.ask('POST', `blobs/uploads/?mount=${encodeURIComponent(digest)}`), bytes, digest);
    });

    test('a mount of what is not there becomes an upload', async () => {
      const { bytes, digest } = make();
      const reply = await repository.ask('POST', `blobs/uploads/?mount=${encodeURIComponent(digest)}&from=${other.name}`);
      assert.equal(reply.status, 202);
      await expectStored(repository, await repository.ask('PUT', withDigest(location(reply), digest), { body: bytes }), bytes, digest);
    });

    test('a cancelled upload is gone', async () => {
      const path = await repository.begin();
      assert.equal((await patch(path, blobOf(100), 0)).status, 202);
      assert.equal((await repository.ask('DELETE', path)).status, 204);
      const reply = await repository.ask('GET', path);
      assert.equal(reply.status, 404);
      assert.deepEqual(Repository.codes(reply), ['BLOB_UPLOAD_UNKNOWN']);
    });

    test('ranges', async () => {
      const bytes = blobOf(2048);
      const digest = await repository.push(bytes, algorithm);
      for (const [range, first, end] of [['500-1499', 500, 1500], ['500-', 500, 2048], ['-500', 1548, 2048], ['2000-5000', 2000, 2048]] as const) {
        const reply = await repository.ask('GET', `blobs/${digest}`, { headers: { range: `bytes=${range}` } });
        assert.equal(reply.status, 206, range);
        assert.equal(reply.headers['content-range'], `bytes ${first}-${end - 1}/2048`);
        assert.ok(reply.body.equals(bytes.subarray(first, end)), range);
      }
      for (const range of ['500-0', '5000-10000']) {
        assert.equal((await repository.ask('GET', `blobs/${digest}`, { headers: { range: `bytes=${range}` } })).status, 416, range);
      }
      const etag = (await repository.ask('HEAD', `blobs/${digest}`)).headers.etag ?? '';
      assert.equal((await repository.ask('GET', `blobs/${digest}`, { headers: { 'if-none-match': etag } })).status, 304);
    });

    test('the empty blob, and the empty object', async () => {
      for (const text of ['', '{}']) {
        const bytes = Buffer.from(text);
        const digest = digestOf(bytes, algorithm);
        await expectStored(repository, await repository.ask('PUT', withDigest(await repository.begin(), digest), { body: bytes }), bytes, digest);
        await expectStored(repository, await repository.ask('POST', withDigest('blobs/uploads/', digest), { body: bytes }), bytes, digest);
      }
    });

    test('bytes that are not the digest’s are refused, and not kept', async () => {
      const { bytes, digest } = make(3000);
      const wrong = Buffer.concat([bytes, Buffer.from('oh no')]);
      const ways: (() => Promise<Reply>)[] = [
        () => repository.ask('POST', withDigest('blobs/uploads/', digest), { body: wrong }),
        async () => repository.ask('PUT', withDigest(await repository.begin(), digest), { body: wrong }),
        async () => repository.ask('PUT', withDigest(location(await patch(await repository.begin(), wrong, 0)), digest)),
        async () => {
          const sent = await repository.ask('PATCH', await repository.begin(), { body: wrong, chunked: true });
          return repository.ask('PUT', withDigest(location(sent), digest));
        },
      ];
      for (const way of ways) {
        const reply = await way();
        assert.equal(reply.status, 400);
        assert.deepEqual(Repository.codes(reply), ['DIGEST_INVALID']);
        assert.equal((await repository.ask('HEAD', `blobs/${digest}`)).status, 404);
        assert.equal((await repository.ask('HEAD', `blobs/${digestOf(wrong, algorithm)}`)).status, 404);
      }
    });
  });
}

describe('what is sent wrong', () => {
  test('digests that are none', async () => {
    for (const bad of ['sha256:short', `sha256:${'A'.repeat(64)}`, `md5:${'0'.repeat(32)}`, `sha256:${'0'.repeat(64)}0`, 'nothing']) {
      assert.ok([400, 404].includes((await repository.ask('GET', `blobs/${bad}`)).status), bad);
      const put = await repository.ask('PUT', withDigest(await repository.begin(), bad), { body: 'x' });
      assert.equal(put.status, 400, bad);
      assert.deepEqual(Repository.codes(put), ['DIGEST_INVALID']);
      assert.equal((await repository.ask('POST', withDigest('blobs/uploads/', bad), { body: 'x' })).status, 400);
    }
    assert.equal((await repository.ask('PUT', await repository.begin(), { body: 'x' })).status, 400);
  });

  test('a range that is no range, or not the length of its chunk', async () => {
    const path = await repository.begin();
    for (const range of ['abc', '5-1', '-', '0-99']) {
      const reply = await repository.ask('PATCH', path, { body: blobOf(10), headers: { 'content-range': range } });
      assert.equal(reply.status, 400, range);
    }
    assert.equal((await repository.ask('GET', path)).headers.range, '0-0');
  });

  test('an upload of another repository, or of none', async () => {
    const path = await repository.begin();
    assert.equal((await other.ask('GET', path.replace('acme/app', 'acme/other'))).status, 404);
    for (const id of ['nonsense', '..%2f..%2fetc', 'r00000000000000000000000000000000']) {
      assert.ok([400, 404].includes((await repository.ask('PATCH', `blobs/uploads/${id}`, { body: 'x' })).status), id);
    }
  });

  test('names the grammar does not have', async () => {
    for (const name of ['Acme/app', 'acme', 'acme/a..b', `acme/${'a'.repeat(300)}`, 'acme/-a']) {
      const reply = await new Repository(nimbus, name).ask('POST', 'blobs/uploads/');
      assert.equal(reply.status, 400, name);
      assert.deepEqual(Repository.codes(reply), ['NAME_INVALID']);
    }
  });

  test('a blob that a manifest refers to stays until the manifest goes', async () => {
    const image = await repository.image();
    const refused = await repository.ask('DELETE', `blobs/${image.layers[0].digest}`);
    assert.equal(refused.status, 405);
    assert.equal((await repository.ask('DELETE', `manifests/${image.digest}`)).status, 202);
    assert.equal((await repository.ask('DELETE', `blobs/${image.layers[0].digest}`)).status, 202);
  });
});

describe('interrupted uploads', () => {
  test('what came before a dropped connection is kept, and the client goes on from there', async () => {
    const bytes = blobOf(400_000);
    const path = await repository.begin();
    await new Promise<void>((resolve) => {
      const request = http.request(nimbus.url + path, { method: 'PATCH', headers: { authorization: `Bearer ${repository.token}`, 'content-length': bytes.length } });
      request.on('error', () => resolve());
      request.write(bytes.subarray(0, 250_000), () => setImmediate(() => request.destroy()));
    });
    // The server may still be reading what was sent.
    const have = await until('the upload to be free again', async () => {
      const status = await repository.ask('GET', path);
      const size = Number(status.headers.range?.slice(2)) + 1;
      const probe = await repository.ask('PATCH', path, { body: Buffer.alloc(0) });
      return status.status === 204 && probe.status === 202 && size === Number(probe.headers.range?.slice(2)) + 1 && { size: size === 1 ? 0 : size };
    });
    assert.ok(have.size <= 250_000);
    const sent = await patch(path, bytes.subarray(have.size), have.size);
    assert.equal(sent.status, 202, sent.body.toString());
    await expectStored(repository, await repository.ask('PUT', withDigest(path, digestOf(bytes))), bytes, digestOf(bytes));
  });

  test('an upload goes on after kill -9, and what was acknowledged is still there', async () => {
    const kept = blobOf(5000);
    const keptDigest = await repository.push(kept);
    const bytes = blobOf(20_000);
    const path = await repository.begin();
    assert.equal((await patch(path, bytes.subarray(0, 10_000), 0)).status, 202);
    await nimbus.end('SIGKILL');
    await nimbus.boot();
    assert.ok((await repository.ask('GET', `blobs/${keptDigest}`)).body.equals(kept));
    const status = await repository.ask('GET', path);
    assert.equal(status.status, 204, status.body.toString());
    assert.equal(status.headers.range, '0-9999');
    assert.equal((await patch(path, bytes.subarray(10_000), 10_000)).status, 202);
    await expectStored(repository, await repository.ask('PUT', withDigest(path, digestOf(bytes))), bytes, digestOf(bytes));
  });
});
