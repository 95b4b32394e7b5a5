// Moves caches and artifacts with GitHub's own packages, unchanged: on the host, or bundled inside a
// microVM. Its one argument is JSON, a list of steps; it prints `RESULT ` and what each step gave.
import { createCipheriv, createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { DefaultArtifactClient } from '@actions/artifact';
import * as cache from '@actions/cache';

// Bytes that do not compress, the same for the same seed.
async function makeFile(file, size, seed) {
  mkdirSync(path.dirname(file), { recursive: true });
  const stream = createCipheriv('aes-256-ctr', createHash('sha256').update(seed).digest(), Buffer.alloc(16));
  function* pieces() {
    for (let made = 0; made < size; made += 1 << 20) yield stream.update(Buffer.alloc(Math.min(1 << 20, size - made)));
  }
  await pipeline(Readable.from(pieces()), createWriteStream(file));
}

async function hashOf(file) {
  if (!existsSync(file)) return null;
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

const steps = {
  make: ({ file, size, seed = 'seed' }) => makeFile(file, size, seed),
  write: ({ file, text }) => {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  },
  read: ({ file }) => (existsSync(file) ? readFileSync(file, 'utf8') : null),
  hash: ({ file }) => hashOf(file),
  save: ({ paths, key }) => cache.saveCache(paths, key),
  restore: async ({ paths, key, restoreKeys = [] }) => (await cache.restoreCache(paths, key, restoreKeys)) ?? null,
  upload: ({ name, files, root, ...options }) => new DefaultArtifactClient().uploadArtifact(name, files, root, options),
  list: async () => (await new DefaultArtifactClient().listArtifacts()).artifacts.map(({ name, size }) => ({ name, size })),
  download: async ({ name, to }) => {
    const client = new DefaultArtifactClient();
    const { artifact } = await client.getArtifact(name);
    return client.downloadArtifact(artifact.id, { path: to });
  },
  remove: ({ name }) => new DefaultArtifactClient().deleteArtifact(name),
};

for (const { step, ...options } of JSON.parse(process.argv[2])) {
  let result;
  try {
    result = { step, value: (await steps[step](options)) ?? null };
  } catch (error) {
    result = { step, error: String(error?.message ?? error) };
  }
  process.stdout.write(`\nRESULT ${JSON.stringify(result)}\n`);
}
process.exit(0);
