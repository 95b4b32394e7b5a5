// Where a server can keep its blobs: what one suite of real clients proves, it proves on each.
import { rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { scratchFolder } from './blob_server.ts';
import { freePort, type Nimbus } from './nimbus.ts';

export interface Place {
  /** Lines of nimbus.toml. */
  config: string;
  /** Of a server that has ended: loses what it could fetch again. */
  forgetNear: (nimbus: Nimbus) => void;
  close: () => Promise<void>;
}

/** An S3 server that is not ours, from npm. It checks no signatures; tests/fakes/s3.ts does. */
export async function openS3rver(): Promise<{ store: string; keys: { AWS_ACCESS_KEY_ID: string; AWS_SECRET_ACCESS_KEY: string }; close: () => Promise<void> }> {
  const S3rver = createRequire(path.join(import.meta.dirname, '../fakes/package.json'))('s3rver');
  const directory = scratchFolder();
  const port = await freePort();
  const server = new S3rver({ port, address: '127.0.0.1', silent: true, directory, configureBuckets: [{ name: 'builds' }] });
  await server.run();
  const close = async () => {
    await server.close();
    rmSync(directory, { recursive: true, force: true });
  };
  return { store: `s3://builds/x?endpoint=http://127.0.0.1:${port}`, keys: { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' }, close };
}

const onDisk = async (): Promise<Place> => ({ config: '', forgetNear: () => {}, close: async () => {} });

const inBucket = async (): Promise<Place> => {
  const { store, keys, close } = await openS3rver();
  return {
    config: `[blob]\nstore = "${store}"\ns3_access_key_id = "${keys.AWS_ACCESS_KEY_ID}"\ns3_secret_access_key = "${keys.AWS_SECRET_ACCESS_KEY}"\n`,
    forgetNear: (nimbus) => rmSync(path.join(nimbus.data, 'blobs'), { recursive: true }),
    close,
  };
};

export const places: [string, () => Promise<Place>][] = [
  ['on the local disk', onDisk],
  ['in a bucket', inBucket],
];
