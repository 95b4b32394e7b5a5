// One upload of each kind that storage takes, as its client makes it in steps, for tests that cut
// uploads short. Each tells afterwards, from outside, what became of it.
import assert from 'node:assert/strict';
import { results } from './actions.ts';
import type { Nimbus } from './nimbus.ts';
import { describes, digestOf, location, Repository, types, withDigest } from './registry.ts';

/** Numbers from a seed, so that a run can be had again (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface Client {
  nimbus: Nimbus;
  token: string;
  org: string;
  run: number;
  job: number;
}

/** What the server said no to, and not what broke off. */
export class Refusal extends Error {
  readonly status: number;
  constructor(what: string, status: number, text: string) {
    super(`${what}: ${status} ${text}`);
    this.status = status;
  }
}

export abstract class Upload {
  readonly client: Client;
  readonly name: string;
  readonly bytes: Buffer;
  /** The server has said that it is done. */
  done = false;

  constructor(client: Client, name: string, bytes: Buffer) {
    this.client = client;
    this.name = name;
    this.bytes = bytes;
  }

  get kind(): string {
    return this.constructor.name;
  }

  async run(): Promise<void> {
    await this.steps();
    this.done = true;
  }

  protected abstract steps(): Promise<void>;
  /** The bytes that are there under the upload's name; null: nothing is. */
  abstract read(): Promise<Buffer | null>;

  protected pieces(count: number): { offset: number; bytes: Buffer }[] {
    const step = Math.max(1, Math.ceil(this.bytes.length / count));
    const all = [];
    for (let offset = 0; offset < this.bytes.length; offset += step) all.push({ offset, bytes: this.bytes.subarray(offset, offset + step) });
    return all;
  }

  /** A request on a path of the server's, or on a URL it gave. */
  protected async ask(method: string, target: string, wanted: number[], { body = undefined as Buffer | string | undefined, headers = {}, bare = false } = {}) {
    const path = target.replace(/^https?:\/\/[^/]+/, '');
    const reply = await this.repository('x').ask(method, path, { body, headers, token: bare ? null : undefined });
    if (!wanted.includes(reply.status)) throw new Refusal(`${this.kind} ${this.name}: ${method} ${path}`, reply.status, reply.body.toString());
    return reply;
  }

  protected repository(name: string): Repository {
    return new Repository(this.client.nimbus, `${this.client.org}/${name}`, this.client.token);
  }

  protected post(target: string, value: object, wanted: number[]) {
    return this.ask('POST', target, wanted, { body: JSON.stringify(value), headers: { 'content-type': 'application/json' } });
  }
}

const version = digestOf('version').slice(7);
const octets = { 'content-type': 'application/octet-stream' };

export class PlainKey extends Upload {
  protected async steps() {
    await this.ask('PUT', `/cache/${this.name}`, [201], { body: this.bytes, headers: octets });
  }
  async read() {
    const reply = await this.ask('GET', `/cache/${this.name}`, [200, 404]);
    return reply.status === 200 ? reply.body : null;
  }
}

abstract class ActionsEntry extends Upload {
  async read() {
    const found = await this.ask('GET', `/_apis/artifactcache/cache?keys=${this.name}&version=${version}`, [200, 204]);
    return found.status === 200 ? (await this.ask('GET', found.json.archiveLocation, [200], { bare: true })).body : null;
  }
}

/** Version 1: ranges, several at once. */
export class RangedEntry extends ActionsEntry {
  protected async steps() {
    const made = await this.post('/_apis/artifactcache/caches', { key: this.name, version, cacheSize: this.bytes.length }, [201]);
    const place = `/_apis/artifactcache/caches/${made.json.cacheId}`;
    const range = ({ offset, bytes }: { offset: number; bytes: Buffer }) =>
      this.ask('PATCH', place, [204], { body: bytes, headers: { ...octets, 'content-range': `bytes ${offset}-${offset + bytes.length - 1}/*` } });
    await Promise.all(this.pieces(3).map(range));
    await this.post(place, { size: this.bytes.length }, [204]);
  }
}

/** Puts blocks, several at once, then their list, as the Azure SDK does. */
async function putBlocks(pieces: { bytes: Buffer }[], put: (query: string, body: Buffer | string) => Promise<unknown>): Promise<void> {
  const block = (i: number) => Buffer.from(`block ${i}`).toString('base64');
  await Promise.all(pieces.map(({ bytes }, i) => put(`comp=block&blockid=${encodeURIComponent(block(i))}`, bytes)));
  await put('comp=blocklist', `<BlockList>${pieces.map((_, i) => `<Latest>${block(i)}</Latest>`).join('')}</BlockList>`);
}

/** Version 2: blocks. */
export class BlockEntry extends ActionsEntry {
  protected async steps() {
    const { nimbus, token } = this.client;
    const created = await results(nimbus, token, 'CacheService/CreateCacheEntry', { key: this.name, version });
    await putBlocks(this.pieces(3), (query, body) => this.ask('PUT', `${created.signed_upload_url}&${query}`, [201], { body, bare: true }));
    const entered = await results(nimbus, token, 'CacheService/FinalizeCacheEntryUpload', { key: this.name, version, size_bytes: `${this.bytes.length}` });
    if (!entered.ok) throw new Refusal(`${this.kind} ${this.name}`, 200, JSON.stringify(entered));
  }
}

export class Artifact extends Upload {
  private get place() {
    return { workflow_run_backend_id: `${this.client.run}`, workflow_job_run_backend_id: `${this.client.job}`, name: this.name };
  }
  protected async steps() {
    const { nimbus, token } = this.client;
    const created = await results(nimbus, token, 'ArtifactService/CreateArtifact', { ...this.place, version: 4 });
    await putBlocks(this.pieces(2), (query, body) => this.ask('PUT', `${created.signed_upload_url}&${query}`, [201], { body, bare: true }));
    await results(nimbus, token, 'ArtifactService/FinalizeArtifact', { ...this.place, size: `${this.bytes.length}`, hash: digestOf(this.bytes) });
  }
  async read() {
    const signed = await this.post('/twirp/github.actions.results.api.v1.ArtifactService/GetSignedArtifactURL', this.place, [200, 404]);
    return signed.status === 200 ? (await this.ask('GET', signed.json.signed_url, [200], { bare: true })).body : null;
  }
}

abstract class RegistryUpload extends Upload {
  protected get blobs() {
    return `/v2/${this.client.org}/app/blobs`;
  }
  async read() {
    const reply = await this.ask('GET', `${this.blobs}/${digestOf(this.bytes)}`, [200, 404]);
    return reply.status === 200 ? reply.body : null;
  }
}

/** One request, or a session and one. */
export class WholeBlob extends RegistryUpload {
  protected async steps() {
    const digest = digestOf(this.bytes);
    if (this.bytes.length % 2) {
      await this.ask('POST', `${this.blobs}/uploads/?digest=${digest}`, [201], { body: this.bytes });
    } else {
      const begun = await this.ask('POST', `${this.blobs}/uploads/`, [202]);
      await this.ask('PUT', withDigest(location(begun), digest), [201], { body: this.bytes });
    }
  }
}

/** Chunk by chunk; what was taken of it can be gone on with. */
export class ChunkedBlob extends RegistryUpload {
  private session = '';
  /** How many bytes the server has said that it has. */
  taken = 0;

  protected async steps() {
    this.session = location(await this.ask('POST', `${this.blobs}/uploads/`, [202]));
    await this.goOn(0);
  }

  private async goOn(from: number) {
    for (const { offset, bytes } of this.pieces(4)) {
      if (offset + bytes.length <= from) continue;
      const rest = bytes.subarray(Math.max(0, from - offset));
      const start = Math.max(from, offset);
      const reply = await this.ask('PATCH', this.session, [202], { body: rest, headers: { ...octets, 'content-range': `${start}-${start + rest.length - 1}` } });
      this.session = location(reply);
      this.taken = start + rest.length;
    }
    await this.ask('PUT', withDigest(this.session, digestOf(this.bytes)), [201]);
  }

  /** Asks how far it came, and goes on from there; false: it had not begun, or is done. */
  async resume(): Promise<boolean> {
    if (!this.session || this.done) return false;
    const status = await this.ask('GET', this.session, [204, 404]);
    if (status.status === 404) return false;
    const has = Number(/^0-(\d+)$/.exec(`${status.headers.range}`)?.[1] ?? -1) + 1;
    // "0-0" says one byte, or none.
    if (has > 1 && has < this.taken) throw new Error(`${this.name}: ${has} bytes are there, ${this.taken} were taken`);
    this.session = location(status);
    await this.goOn(has === 1 ? 0 : has);
    this.done = true;
    return true;
  }
}

/** A config, a layer, a manifest and a tag. `bytes` are the layer's. */
export class Image extends RegistryUpload {
  private get config() {
    return JSON.stringify({ architecture: 'amd64', os: 'linux', name: this.name });
  }
  get manifest(): string {
    return JSON.stringify({ schemaVersion: 2, mediaType: types.manifest, config: describes(this.config, types.config), layers: [describes(this.bytes, types.layer)] });
  }
  get extra(): string[] {
    return [this.config, this.manifest];
  }
  protected async steps() {
    for (const blob of [this.config, this.bytes]) {
      await this.ask('POST', `${this.blobs}/uploads/?digest=${digestOf(blob)}`, [201], { body: blob });
    }
    await this.ask('PUT', `/v2/${this.client.org}/app/manifests/${this.name}`, [201], { body: this.manifest, headers: { 'content-type': types.manifest } });
  }
  /** A tag that is there leads to all of its image. */
  async read() {
    const tagged = await this.ask('GET', `/v2/${this.client.org}/app/manifests/${this.name}`, [200, 404]);
    if (tagged.status === 404) return null;
    if (tagged.body.toString() !== this.manifest) throw new Error(`the tag ${this.name} leads to something else`);
    const config = await this.ask('GET', `${this.blobs}/${digestOf(this.config)}`, [200]);
    if (config.body.toString() !== this.config) throw new Error(`the config of ${this.name} is something else`);
    return (await this.ask('GET', `${this.blobs}/${digestOf(this.bytes)}`, [200])).body;
  }
}

export const uploadKinds = [PlainKey, RangedEntry, BlockEntry, Artifact, WholeBlob, ChunkedBlob, Image];

/** The books of the server’s data directory are right. */
export async function fsckFindsNothing(nimbus: Nimbus): Promise<void> {
  const report = await nimbus.cli(['cache', 'fsck', '--json', '--data', nimbus.data]);
  assert.deepEqual(JSON.parse(report.stdout || '{}').findings, [], report.stdout + report.stderr);
}
