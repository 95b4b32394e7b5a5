// Stores with digest, fsync and rename, one after another, against this machine's SHA-256 and against
// docker-registry's push of the same bytes. In turn; every body is new to its store.
import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { BlobServer, digestOf, folder, pushTo, send, shaRate, startRegistry, stopAll } from './blob_peers.ts';
import { median, report } from './report.ts';

const rounds = 5;
const sizes = [
  { name: '1mib', bytes: 2 ** 20, count: 48, pushAim: 2 },
  { name: '64mib', bytes: 64 * 2 ** 20, count: 4, pushAim: 3 },
  { name: '1gib', bytes: 2 ** 30, count: 1, pushAim: 3 },
];

const server = await BlobServer.start({ data: path.join(folder, 'ours') });
const registry = await startRegistry();

async function rate(bodies: { bytes: Buffer; digest: string }[], store: (bytes: Buffer, digest: string) => Promise<void>): Promise<number> {
  const begun = process.hrtime.bigint();
  for (const { bytes, digest } of bodies) await store(bytes, digest);
  const total = bodies.reduce((sum, { bytes }) => sum + bytes.length, 0);
  return total / (Number(process.hrtime.bigint() - begun) / 1e9);
}

// Memory is the medium: what was measured goes.
async function forget(digests: string[]): Promise<void> {
  for (const digest of digests) {
    await server.request('DELETE', digest);
    rmSync(path.join(server.data, 'blobs/sha256', digest.slice(7, 9), digest.slice(7)), { force: true });
  }
  for (const name of readdirSync(registry.data)) rmSync(path.join(registry.data, name), { recursive: true });
}

try {
  for (const size of sizes) {
    const buffer = Buffer.alloc(size.bytes * size.count, randomBytes(64 * 1024));
    const ours: number[] = [], pushed: number[] = [], hashed: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const bodies = Array.from({ length: size.count }, (_, i) => {
        const bytes = buffer.subarray(i * size.bytes, (i + 1) * size.bytes);
        bytes.set(randomBytes(16));
        return { bytes, digest: digestOf(bytes) };
      });
      hashed.push(shaRate() / 2 ** 20);
      ours.push(await rate(bodies, async (bytes, digest) => {
        const answer = await send({ port: server.port, method: 'PUT', path: `/blobs/${digest}`, headers: { Authorization: `Bearer ${server.token}` } }, bytes);
        if (answer.statusCode !== 201) throw new Error(`storing a blob: ${answer.statusCode}`);
      }) / 2 ** 20);
      pushed.push(await rate(bodies, (bytes, digest) => pushTo(registry.port, bytes, digest)) / 2 ** 20);
      await forget(bodies.map(({ digest }) => digest));
    }
    const compare = (name: string, reference: number[], reference_name: string, aim: number) =>
      report({ name, unit: 'MiB/s', ours: median(ours), reference: median(reference), reference_name, ratio: median(ours.map((value, i) => value / reference[i])), aim, better: 'higher', runs: rounds });
    if (size.name !== '1mib') compare(size.name === '64mib' ? 'blob-put' : `blob-put-${size.name}`, hashed, 'SHA-256 of this machine', 0.5);
    compare(`blob-push-${size.name}`, pushed, "docker-registry's push", size.pushAim);
  }
} finally {
  await stopAll(server);
}
