// kill -9 at random moments of many uploads of every kind at once, round after round: what was answered
// as done is there in full, nothing else is there in part, and the books are right.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { jobToken } from './actions.ts';
import { scratchFolder } from './blob_server.ts';
import { Nimbus } from './nimbus.ts';
import { digestOf, Repository } from './registry.ts';
import { ChunkedBlob, type Client, fsckFindsNothing, Image, Refusal, seeded, type Upload, uploadKinds } from './storage_uploads.ts';

const seed = Number(process.env.NIMBUS_SEED ?? randomBytes(4).readUInt32LE());
const rounds = 6;
const uploadsInRound = 120;
const uploadsAtOnce = 16;
const bytesMin = 16; // less would be the same bytes now and then, which are paid for once
const bytesMax = 1_500_000;

describe(`kill -9 at random points of ${rounds * uploadsInRound} uploads (NIMBUS_SEED=${seed})`, () => {
  const random = seeded(seed);
  const data = scratchFolder();
  const uploads: Upload[] = [];
  let nimbus: Nimbus;
  let resumed = 0;
  let client: Client;
  before(async () => {
    nimbus = await Nimbus.start({ data });
    client = { nimbus, token: jobToken(nimbus, { run: 77, job: 12, seconds: 3600 }), org: 'acme', run: 77, job: 12 };
  });
  after(async () => {
    await nimbus.stop();
    rmSync(data, { recursive: true, force: true });
  });

  // No name begins another: the Actions cache also restores by prefix.
  const next = (): Upload => {
    const Kind = uploadKinds[uploads.length % uploadKinds.length];
    const upload = new Kind(client, `u${`${uploads.length}`.padStart(5, '0')}`, randomBytes(Math.floor(random() ** 3 * bytesMax) + bytesMin));
    uploads.push(upload);
    return upload;
  };

  /** Uploads until the server is gone; an answer that refuses is a fault, a broken connection is not. */
  async function uploadUntilKilled(limit: number, refusals: Refusal[]): Promise<void> {
    while (uploads.length < limit) {
      try {
        await next().run();
      } catch (error) {
        if (error instanceof Refusal) refusals.push(error);
        return;
      }
    }
  }

  async function check(some: Upload[]): Promise<void> {
    for (const upload of some) {
      const bytes = await upload.read();
      if (upload.done) assert.ok(bytes, `${upload.kind} ${upload.name} was done and is gone`);
      if (bytes) assert.ok(bytes.equals(upload.bytes), `${upload.kind} ${upload.name}: ${bytes.length} bytes of ${upload.bytes.length} are there`);
    }
  }

  /** Each file of the store holds what its name says. */
  function checkFiles(): void {
    const folder = path.join(data, 'blobs/sha256');
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const bytes = readFileSync(path.join(entry.parentPath, entry.name));
      assert.equal(createHash('sha256').update(bytes).digest('hex'), entry.name);
    }
  }

  for (let round = 1; round <= rounds; round++) {
    test(`round ${round}`, async () => {
      const first = uploads.length;
      const refusals: Refusal[] = [];
      const limit = first + uploadsInRound;
      const fatal = first + uploadsAtOnce + Math.floor(random() * (uploadsInRound - uploadsAtOnce));
      const workers = Array.from({ length: uploadsAtOnce }, () => uploadUntilKilled(limit, refusals));
      // The upload that is fatal has begun; how far it and its companions come is chance.
      let over = false;
      const all = Promise.all(workers).finally(() => (over = true));
      while (uploads.length < fatal && !over) await new Promise((resolve) => setImmediate(resolve));
      for (let turns = Math.floor(random() * 200); turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve));
      await nimbus.end('SIGKILL');
      await all;
      assert.deepEqual(refusals, []);
      await nimbus.boot();
      await fsckFindsNothing(nimbus);
      checkFiles();
      const cut = uploads.slice(first);
      await check(cut);
      for (const upload of cut) if (upload instanceof ChunkedBlob && (await upload.resume())) resumed += 1;
      // What was cut short is made again as its client would; the rest of the round is uploaded whole.
      while (uploads.length < limit) await next().run();
      await fsckFindsNothing(nimbus);
    });
  }

  test('in the end everything is there, and usage is what is there', async (t) => {
    await check(uploads);
    const done = uploads.filter((upload) => upload.done);
    t.diagnostic(`${done.length} of ${uploads.length} uploads done, ${uploads.length - done.length} cut short; ${resumed} pushes resumed`);
    assert.ok(done.length > uploads.length / 2);
    assert.ok(done.length < uploads.length, 'no upload was cut short: the kills come too late');

    const entries = (await nimbus.get('/api/v1/caches?org=acme&limit=1000')).json.items;
    const artifacts = (await nimbus.get('/api/v1/artifacts?org=acme&limit=1000')).json.items;
    const kept = [...entries, ...artifacts].reduce((sum: number, one: { size_bytes: number }) => sum + one.size_bytes, 0);
    const [usage] = (await nimbus.get('/api/v1/caches/usage?org=acme')).json.items;
    assert.equal(usage.size_bytes, kept);
    assert.equal(usage.entries, entries.length);
    const repository = new Repository(nimbus, 'acme/app', client.token);
    let pushed = 0;
    for (const upload of uploads) {
      const isBlob = upload.kind.endsWith('Blob') || upload instanceof Image;
      if (!isBlob) continue;
      const parts: [string, number][] = [[`blobs/${digestOf(upload.bytes)}`, upload.bytes.length]];
      if (upload instanceof Image) {
        const [config, manifest] = upload.extra;
        parts.push([`blobs/${digestOf(config)}`, config.length], [`manifests/${digestOf(manifest)}`, manifest.length]);
      }
      for (const [target, size] of parts) if ((await repository.ask('HEAD', target)).status === 200) pushed += size;
    }
    const [stored] = (await nimbus.get('/api/v1/repository-usage?org=acme')).json.items;
    assert.equal(stored.bytes, pushed);
  });
});
