// The blob store as a process: killed at any moment, on a full disk, before a bucket that fails.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FakeS3 } from '../fakes/s3.ts';
import { BlobServer, digestOf, scratchFolder } from './blob_server.ts';
import { until } from './nimbus.ts';
import { openS3rver } from './places.ts';

const files = (folder: string) => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).length;

describe('kill -9 at random points of 500 uploads', () => {
  let server: BlobServer;
  const stored = new Map<string, number>();
  let begun = 0;
  before(async () => {
    server = await BlobServer.start();
  });
  after(() => server.stop());

  for (let round = 1; round <= 5; round += 1) {
    test(`round ${round}: nothing is wrong afterwards, and what was acknowledged is there`, async () => {
      const limit = begun + 100;
      const workers = Array.from({ length: 8 }, async () => {
        while (begun < limit) {
          begun += 1;
          const bytes = randomBytes(Math.floor(Math.random() ** 3 * 3_000_000) + 1);
          const answer = await server.put(bytes).catch(() => undefined);
          if (!answer) return;
          assert.equal(answer.status, 201);
          stored.set(digestOf(bytes), bytes.length);
        }
      });
      const enough = begun + 20 + Math.floor(Math.random() * 60);
      while (begun < enough) await new Promise((resolve) => setImmediate(resolve));
      await server.end('SIGKILL');
      await Promise.all(workers);
      begun = limit;
      await server.begin();
      const report = await server.fsck();
      assert.deepEqual(report.findings, []);
      assert.ok(report.blobs >= stored.size);
      assert.equal(readdirSync(path.join(server.data, 'blobs/uploads')).length, 0, 'no unfinished upload is left');
      for (const [digest, size] of stored) {
        const answer = await server.get(digest);
        assert.equal(answer.status, 200);
        assert.equal(answer.body.length, size);
        assert.equal(digestOf(answer.body), digest);
      }
    });
  }
});

describe('a full disk', () => {
  test('uploads get 507, reads go on, nothing half-written stays', async (t) => {
    const folder = scratchFolder();
    const mount = path.join(folder, 'small');
    mkdirSync(mount);
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', mount]).status !== 0) {
      t.skip('mounting a small file system needs root');
      return;
    }
    const server = await BlobServer.start({ data: path.join(mount, 'data'), freeBytesMin: 3_000_000 });
    try {
      const kept: Buffer[] = [];
      let refused = 0;
      for (let i = 0; i < 8; i += 1) {
        const bytes = randomBytes(5_000_000);
        const answer = await server.put(bytes);
        if (answer.status === 201) kept.push(bytes);
        else {
          assert.equal(answer.status, 507);
          refused += 1;
        }
      }
      assert.ok(kept.length >= 3 && refused >= 3, `${kept.length} kept, ${refused} refused`);
      // Without a length nothing can be reserved: the disk itself says it.
      const endless = await server.request('PUT', digestOf('x'), randomBytes(30_000_000), { 'Transfer-Encoding': 'chunked' });
      assert.equal(endless.status, 507);
      for (const bytes of kept) assert.equal(digestOf((await server.get(digestOf(bytes))).body), digestOf(bytes));
      assert.equal(files(path.join(server.data, 'blobs')), kept.length);
      assert.deepEqual((await server.fsck()).findings, []);
      assert.equal((await server.request('DELETE', digestOf(kept[0]))).status, 204);
      assert.equal((await server.get(digestOf(kept[0]))).status, 404);
    } finally {
      await server.end('SIGKILL');
      spawnSync('umount', [mount]);
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('a bucket', () => {
  let s3: FakeS3;
  let server: BlobServer;
  const environment = () => ({ AWS_ACCESS_KEY_ID: s3.accessKey, AWS_SECRET_ACCESS_KEY: s3.secretKey });
  before(async () => {
    s3 = await FakeS3.start();
    server = await BlobServer.start({ store: `s3://${s3.bucket}/some/folder?endpoint=${s3.url}&region=eu-central-1`, environment: environment() });
  });
  after(async () => {
    await server.stop();
    await s3.stop();
  });
  const forgetNear = async () => {
    await server.end('SIGKILL');
    rmSync(path.join(server.data, 'blobs'), { recursive: true });
    await server.begin();
  };
  const keyOf = (digest: string) => `some/folder/sha256/${digest.slice(7, 9)}/${digest.slice(7)}`;

  test('holds what was stored, small and in parts, under its digest', async () => {
    for (const size of [0, 1, 100_000, 40_000_000]) {
      const bytes = randomBytes(size);
      assert.equal((await server.put(bytes)).status, 201);
      assert.equal(digestOf(s3.objects.get(keyOf(digestOf(bytes)))?.bytes as Buffer), digestOf(bytes));
    }
    assert.equal(s3.uploads.size, 0);
    assert.deepEqual((await server.fsck()).findings, []);
  });

  test('is read once however many ask together, and ranges come from the near copy', async () => {
    const bytes = randomBytes(3_000_000);
    await server.put(bytes);
    await forgetNear();
    s3.seen.length = 0;
    const answers = await Promise.all(Array.from({ length: 10 }, () => server.get(digestOf(bytes))));
    for (const answer of answers) assert.equal(digestOf(answer.body), digestOf(bytes));
    const part = await server.get(digestOf(bytes), { Range: 'bytes=10-19' });
    assert.equal(part.status, 206);
    assert.deepEqual(part.body, bytes.subarray(10, 20));
    assert.deepEqual(s3.seen.filter((line) => line.startsWith('GET some')), [`GET ${keyOf(digestOf(bytes))}`]);
  });

  test('is passed on while it comes: to everybody at once, from one transfer', async () => {
    const bytes = randomBytes(4_000_000);
    const digest = digestOf(bytes);
    await server.put(bytes);
    await forgetNear();
    s3.seen.length = 0;
    s3.fault = (request) => (request.method === 'GET' && !request.url?.includes('?') ? 'hold' : undefined);
    const first = await server.follow(digest);
    const second = await server.follow(digest);
    await until('both to have what the bucket has sent', () => [first, second].every((answer) => answer.received().length >= 1_990_000));
    assert.ok(first.received().equals(bytes.subarray(0, first.received().length)));
    const start = await server.get(digest, { Range: 'bytes=100-1000099' });
    assert.equal(start.status, 206);
    assert.ok(start.body.equals(bytes.subarray(100, 1_000_100)));
    const end = await server.follow(digest, { Range: 'bytes=-10' });
    assert.equal(end.received().length, 0);
    s3.release();
    s3.fault = () => undefined;
    for (const answer of [first, second]) assert.equal(digestOf((await answer.whole) ?? ''), digest);
    assert.deepEqual(await end.whole, bytes.subarray(-10));
    assert.deepEqual(s3.seen.filter((line) => line.startsWith('GET some')), [`GET ${keyOf(digest)}`]);
  });

  test('is fetched to the end when everybody has left, and a reader who stands still holds up nobody', async () => {
    const bytes = randomBytes(30_000_000);
    const digest = digestOf(bytes);
    await server.put(bytes);
    await forgetNear();
    s3.seen.length = 0;
    s3.fault = (request) => (request.method === 'GET' && !request.url?.includes('?') ? 'hold' : undefined);
    const still = await server.follow(digest);
    still.response.pause();
    const left = await server.follow(digest);
    left.response.destroy();
    s3.release();
    s3.fault = () => undefined;
    const whole = await server.get(digest);
    assert.equal(digestOf(whole.body), digest);
    still.response.destroy();
    assert.deepEqual(s3.seen.filter((line) => line.startsWith('GET some')), [`GET ${keyOf(digest)}`]);
  });

  test('whose large object is rotten or short breaks off before its end, for everybody', async () => {
    const bytes = randomBytes(3_000_000);
    const digest = digestOf(bytes);
    await server.put(bytes);
    for (const broken of ['rotten', 'short'] as const) {
      await forgetNear();
      const object = s3.objects.get(keyOf(digest));
      assert.ok(object);
      object.bytes = Buffer.from(bytes);
      if (broken === 'rotten') object.bytes[5] ^= 1;
      else object.bytes = object.bytes.subarray(0, -1);
      s3.fault = (request) => (request.method === 'GET' && !request.url?.includes('?') ? 'hold' : undefined);
      const answers = [await server.follow(digest), await server.follow(digest), await server.follow(digest, { Range: 'bytes=2000000-' })];
      s3.release();
      s3.fault = () => undefined;
      for (const answer of answers) {
        assert.ok((await answer.whole) === undefined, broken);
        assert.ok(answer.received().length < Number(answer.response.headers['content-length']));
      }
      object.bytes = bytes;
      assert.equal(digestOf((await server.get(digest)).body), digest, 'nothing of it was kept');
    }
  });

  test('that stumbles is asked again, from where it broke off', async () => {
    const bytes = randomBytes(20_000_000);
    let calls = 0;
    s3.fault = () => [undefined, 'error500', 'slowdown'][calls++ % 3] as 'error500';
    assert.equal((await server.put(bytes)).status, 201);
    await forgetNear();
    let reads = 0;
    s3.fault = (request) => (request.method === 'GET' && !request.url?.includes('?') && reads++ < 2 ? 'break' : undefined);
    const answer = await server.get(digestOf(bytes));
    assert.equal(digestOf(answer.body), digestOf(bytes));
    assert.ok(reads >= 3);
    s3.fault = () => undefined;
  });

  test('that is away gets clients a 503 soon, and serves again once it is back', async () => {
    const bytes = randomBytes(1000);
    await server.put(bytes);
    const other = randomBytes(1000);
    await server.put(other);
    await forgetNear();
    await server.get(digestOf(other));
    s3.fault = () => 'slowdown';
    const refused = await server.get(digestOf(bytes));
    assert.equal(refused.status, 503);
    assert.ok(refused.headers['retry-after']);
    assert.equal((await server.put(randomBytes(10))).status, 503);
    assert.equal((await server.get(digestOf(other))).status, 200, 'what is near is still served');
    s3.fault = () => undefined;
    await until('the bucket to be asked again', async () => (await server.get(digestOf(bytes))).status === 200, 30);
  });

  test('whose object is not what its name says is never served', async () => {
    const bytes = randomBytes(1000);
    await server.put(bytes);
    await forgetNear();
    const object = s3.objects.get(keyOf(digestOf(bytes)));
    assert.ok(object);
    object.bytes = Buffer.from(object.bytes);
    object.bytes[5] ^= 1;
    assert.equal((await server.get(digestOf(bytes))).status, 500);
    const report = await server.fsck();
    assert.deepEqual(report.findings.map((finding) => [finding.kind, finding.subject]), [['rotten', digestOf(bytes)]]);
    assert.ok((await server.fsck('--repair')).findings[0].repaired);
    assert.equal((await server.get(digestOf(bytes))).status, 404);
    assert.ok(s3.objects.has(`some/folder/quarantine/sha256/${digestOf(bytes).slice(7, 9)}/${digestOf(bytes).slice(7)}`));
    assert.deepEqual((await server.fsck()).findings, []);
  });

  test('refuses wrong credentials, and the server says so', async () => {
    const wrong = await BlobServer.start({ store: `s3://${s3.bucket}?endpoint=${s3.url}`, environment: { ...environment(), AWS_SECRET_ACCESS_KEY: 'wrong' } });
    try {
      const answer = await wrong.put(randomBytes(10));
      assert.equal(answer.status, 503);
      assert.match(answer.body.toString(), /credentials/);
    } finally {
      await wrong.stop();
    }
  });
});

describe('a bucket of another implementation', () => {
  test('stores, lists, serves and removes', async () => {
    const s3rver = await openS3rver();
    const server = await BlobServer.start({ store: s3rver.store, environment: s3rver.keys });
    try {
      for (const size of [10, 35_000_000]) {
        const bytes = randomBytes(size);
        assert.equal((await server.put(bytes)).status, 201);
        await server.end('SIGKILL');
        rmSync(path.join(server.data, 'blobs'), { recursive: true });
        await server.begin();
        assert.equal(digestOf((await server.get(digestOf(bytes))).body), digestOf(bytes));
      }
      const report = await server.fsck();
      assert.equal(report.blobs, 2);
      assert.deepEqual(report.findings, []);
    } finally {
      await server.stop();
      await s3rver.close();
    }
  });
});
