// The OCI distribution protocol as a client speaks it, for tests of the registry.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import type { Nimbus } from './nimbus.ts';

export const types = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  config: 'application/vnd.oci.image.config.v1+json',
  empty: 'application/vnd.oci.empty.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
};

export type Algorithm = 'sha256' | 'sha512';

export const digestOf = (bytes: Buffer | string, algorithm: Algorithm = 'sha256'): string =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;

export const blobOf = (size: number): Buffer => randomBytes(size);

export interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  artifactType?: string;
  annotations?: Record<string, string>;
  data?: string;
}

export const describes = (bytes: Buffer | string, mediaType: string, algorithm: Algorithm = 'sha256'): Descriptor => ({
  mediaType,
  digest: digestOf(bytes, algorithm),
  size: Buffer.byteLength(bytes),
});

export interface Reply {
  status: number;
  headers: http.IncomingHttpHeaders;
  rawHeaders: string[];
  body: Buffer;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes are asserted on
  json: any;
}

export interface Ask {
  body?: Buffer | string;
  headers?: http.OutgoingHttpHeaders;
  token?: string | null;
  /** Send the body without saying its length. */
  chunked?: boolean;
}

/** One repository, seen with one credential. */
export class Repository {
  readonly nimbus: Nimbus;
  readonly name: string;
  readonly token: string;

  constructor(nimbus: Nimbus, name: string, token = nimbus.token) {
    this.nimbus = nimbus;
    this.name = name;
    this.token = token;
  }

  /** `target` is a path of its own, or one below the repository when it starts without a slash. */
  ask(method: string, target: string, { body, headers = {}, token = this.token, chunked = false }: Ask = {}): Promise<Reply> {
    const path = target.startsWith('/') ? target : `/v2/${this.name}/${target}`;
    const all: http.OutgoingHttpHeaders = { ...headers };
    if (token) all.authorization ??= `Bearer ${token}`;
    if (body !== undefined && !chunked) all['content-length'] = Buffer.byteLength(body);
    if (body === undefined && method !== 'GET' && method !== 'HEAD') all['content-length'] = 0;
    return new Promise((resolve, reject) => {
      const request = http.request(this.nimbus.url + path, { method, headers: all }, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece) => pieces.push(piece));
        response.on('error', reject);
        response.on('end', () => {
          const whole = Buffer.concat(pieces);
          const isJson = /json/.test(response.headers['content-type'] ?? '') && whole.length > 0 && method !== 'HEAD';
          resolve({ status: response.statusCode ?? 0, headers: response.headers, rawHeaders: response.rawHeaders, body: whole, json: isJson ? JSON.parse(whole.toString()) : undefined });
        });
      });
      request.on('error', reject);
      request.end(body);
    });
  }

  /** Begins an upload; the path of its session. */
  async begin(query = ''): Promise<string> {
    const reply = await this.ask('POST', `blobs/uploads/${query}`);
    assert.equal(reply.status, 202, reply.body.toString());
    return location(reply);
  }

  /** Pushes the bytes the way containerd does. */
  async push(bytes: Buffer | string, algorithm: Algorithm = 'sha256'): Promise<string> {
    const digest = digestOf(bytes, algorithm);
    const reply = await this.ask('PUT', withDigest(await this.begin(), digest), { body: bytes });
    assert.equal(reply.status, 201, reply.body.toString());
    return digest;
  }

  async put(reference: string, manifest: object | string, mediaType = types.manifest): Promise<Reply> {
    const body = typeof manifest === 'string' ? manifest : JSON.stringify(manifest);
    return this.ask('PUT', `manifests/${reference}`, { body, headers: { 'content-type': mediaType } });
  }

  /** Pushes an image of random layers and, when given, a tag; the manifest's descriptor. */
  async image({ tag = '', layers = 2, size = 1000, more = {} }: { tag?: string; layers?: number; size?: number; more?: object } = {}): Promise<Descriptor & { text: string; layers: Descriptor[] }> {
    const config = JSON.stringify({ architecture: 'amd64', os: 'linux', id: randomBytes(8).toString('hex') });
    await this.push(config);
    const descriptors: Descriptor[] = [];
    for (let i = 0; i < layers; i++) {
      const layer = blobOf(size);
      await this.push(layer);
      descriptors.push(describes(layer, types.layer));
    }
    const text = JSON.stringify({ schemaVersion: 2, mediaType: types.manifest, config: describes(config, types.config), layers: descriptors, ...more });
    const reply = await this.put(tag || digestOf(text), text);
    assert.equal(reply.status, 201, reply.body.toString());
    return { ...describes(text, types.manifest), text, layers: descriptors };
  }

  /** What stands in the specification's error list. */
  static codes(reply: Reply): string[] {
    return (reply.json?.errors ?? []).map((error: { code: string }) => error.code);
  }
}

export function location(reply: Reply): string {
  const value = reply.headers.location;
  assert.ok(value, 'the answer has a Location');
  return value;
}

export const withDigest = (path: string, digest: string): string =>
  `${path}${path.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`;

/** A new operator token. */
export async function tokenOf(nimbus: Nimbus, org: string, role = 'operator'): Promise<string> {
  const made = await nimbus.post('/api/v1/tokens', { name: 'test', role, org });
  assert.equal(made.status, 201, made.text);
  return made.json.token;
}
