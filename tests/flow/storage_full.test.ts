// A full disk, of the blobs and of the database: uploads of every kind are refused and say why, reads
// go on, nothing half-written is seen, and once there is room all goes on without a restart.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test, type TestContext } from 'node:test';
import { jobToken } from './actions.ts';
import { Nimbus } from './nimbus.ts';
import { Artifact, BlockEntry, ChunkedBlob, type Client, fsckFindsNothing, Image, PlainKey, RangedEntry, Refusal, type Upload, uploadKinds, WholeBlob } from './storage_uploads.ts';
import { SmallDisk } from './small_disk.ts';

const MiB = 1 << 20;
// What each protocol says of a disk without room. Twirp and the Azure SDK take 5xx for a fault that
// passes and would send everything again, so `resource_exhausted` is their 413.
const refusals = new Map<unknown, number[]>([
  [PlainKey, [507]],
  [RangedEntry, [507]],
  [BlockEntry, [507, 413]],
  [Artifact, [507, 413]],
  [WholeBlob, [507]],
  [ChunkedBlob, [507]],
  [Image, [507]],
]);

const clientOf = (nimbus: Nimbus): Client => ({ nimbus, token: jobToken(nimbus, { run: 77, job: 12 }), org: 'acme', run: 77, job: 12 });

/** What the server refused; the upload went through when it gives nothing. */
async function refusalOf(upload: Upload): Promise<Refusal | undefined> {
  try {
    await upload.run();
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

/** Uploads of every kind are refused, each in its protocol's words, and leave nothing to see. */
async function refusesAll(client: Client, size: number, mark: string): Promise<void> {
  for (const Kind of uploadKinds) {
    const upload = new Kind(client, `${mark}-${Kind.name}`, randomBytes(size));
    const refusal = await refusalOf(upload);
    assert.ok(refusal, `${Kind.name} went through`);
    assert.ok(refusals.get(Kind)?.includes(refusal.status), `${refusal.message}`);
    assert.equal(await upload.read(), null, `${Kind.name}: something is there`);
  }
}

async function takesAll(client: Client, size: number, mark: string): Promise<Upload[]> {
  const uploads = uploadKinds.map((Kind) => new Kind(client, `${mark}-${Kind.name}`, randomBytes(size)));
  for (const upload of uploads) await upload.run();
  return uploads;
}

async function areWhole(uploads: Upload[]): Promise<void> {
  for (const upload of uploads) assert.ok((await upload.read())?.equals(upload.bytes), upload.name);
}

const disk = SmallDisk.make(64);
after(() => disk?.remove());
const skip = disk ? false : 'mounting a small file system needs root';

for (const guard of [0, 8 * MiB]) {
  describe(`a full disk of blobs, ${guard ? 'with the guard for its free space' : 'which only the disk itself notices'}`, { skip }, () => {
    let nimbus: Nimbus;
    let client: Client;
    let folder: string;
    let kept: Upload[];
    before(async () => {
      folder = path.join((disk as SmallDisk).folder, `blobs-${guard}`);
      mkdirSync(folder);
      nimbus = await Nimbus.start({ config: `[blob]\nstore = "file:${folder}"\nfree_bytes_min = ${guard}\n` });
      client = clientOf(nimbus);
      kept = await takesAll(client, MiB, 'kept');
    });
    after(async () => {
      await nimbus.stop();
      (disk as SmallDisk).release();
    });
    const files = () => readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));

    test('uploads are refused and leave nothing, reads go on', async (t: TestContext) => {
      t.diagnostic(`on ${(disk as SmallDisk).kind}`);
      const before = files();
      (disk as SmallDisk).fill(2 * MiB);
      await refusesAll(client, 3 * MiB, 'refused');
      await areWhole(kept);
      assert.deepEqual(files().filter((file) => !before.includes(file) && !file.includes('/uploads/')), [], 'no blob was made of what was refused');
      await fsckFindsNothing(nimbus);
    });

    test('with room again, uploads go through', async () => {
      (disk as SmallDisk).release();
      await areWhole(await takesAll(client, MiB, 'again'));
      await fsckFindsNothing(nimbus);
    });
  });
}

describe('a full disk of the database', { skip }, () => {
  let nimbus: Nimbus;
  let client: Client;
  let kept: Upload[];
  before(async () => {
    nimbus = await Nimbus.start({ config: `[control]\ndatabase = "sqlite:${path.join((disk as SmallDisk).folder, 'control.db')}"\n` });
    client = clientOf(nimbus);
    kept = await takesAll(client, 1000, 'kept');
  });
  after(() => nimbus.stop());
  const queue = () => nimbus.post('/api/v1/jobs', { org: 'acme', repo: 'app', command: ['true'], env: { FILLS: 'x'.repeat(60_000) } });

  test('what must be written down is refused with 507, what is only read goes on', async () => {
    (disk as SmallDisk).fill();
    let answer = await queue();
    // The log has room left from before, for some.
    for (let i = 0; i < 2000 && answer.status === 201; i++) answer = await queue();
    assert.equal(answer.status, 507, answer.text);
    assert.equal(answer.json.code, 'storage-full');
    for (let i = 0; i < 3; i++) assert.equal((await queue()).status, 507);
    assert.equal((await nimbus.get('/api/v1/jobs?limit=1')).status, 200);
    await areWhole(kept);
    const listed = (await nimbus.get('/api/v1/caches?org=acme')).json.items;
    for (let i = 0; i < 100; i++) {
      const upload = new PlainKey(client, `full-${i}`, randomBytes(1000));
      const refusal = await refusalOf(upload);
      if (refusal) assert.equal(refusal.status, 507, refusal.message);
      assert.equal((await upload.read()) !== null, refusal === undefined);
    }
    assert.ok((await nimbus.get('/api/v1/caches?org=acme&limit=1000')).json.items.length >= listed.length);
  });

  test('a server that is started on it serves what it has', async () => {
    await nimbus.end('SIGKILL');
    (disk as SmallDisk).fill();
    await nimbus.boot();
    await areWhole(kept);
    assert.equal((await queue()).status, 507);
  });

  test('with room again all goes on, and nothing is wrong', async () => {
    (disk as SmallDisk).release();
    assert.equal((await queue()).status, 201);
    await areWhole(await takesAll(client, 1000, 'again'));
    await areWhole(kept);
    await fsckFindsNothing(nimbus);
  });
});
