// What jobs and people store, put in the way real clients do: caches by PUT, artifacts by GitHub's
// protocol, images by the OCI distribution protocol.
import { createHash, randomBytes } from 'node:crypto';
import type { Server } from './server.ts';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';

export async function upload(
  url: string,
  token: string,
  bytes: Buffer | string,
  headers: Record<string, string> = {},
): Promise<Response> {
  const answer = await fetch(url, {
    method: 'PUT',
    headers: { Authorization: `Bearer ${token}`, ...headers },
    body: new Uint8Array(Buffer.from(bytes)),
  });
  if (!answer.ok) throw new Error(`PUT ${url}: ${answer.status} ${await answer.text()}`);
  return answer;
}

// Entries of the whole org, which an operator puts.
export async function cacheForOrg(server: Server, org: string, key: string, size: number) {
  await upload(`${server.url}/cache/${key}?org=${org}`, server.token, randomBytes(size));
}

export async function uploadArtifact(server: Server, token: string, name: string, bytes: Buffer) {
  const service = '/twirp/github.actions.results.api.v1.ArtifactService';
  const claims = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString();
  const { scp } = JSON.parse(claims) as { scp: string };
  const [, run, job] = scp.split(':');
  const of = { workflow_run_backend_id: run, workflow_job_run_backend_id: job, name };
  const made = await server.call<{ signed_upload_url: string }>(
    'POST',
    `${service}/CreateArtifact`,
    { ...of, version: 4 },
    token,
  );
  await upload(made.signed_upload_url, '', bytes, { 'x-ms-blob-type': 'BlockBlob' });
  await server.call(
    'POST',
    `${service}/FinalizeArtifact`,
    { ...of, size: String(bytes.length), hash: { value: digestOf(bytes) } },
    token,
  );
}

const digestOf = (bytes: Buffer | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
  platform?: { os: string; architecture: string };
}

// One repository of the registry, pushed to by an operator.
export class Images {
  #server: Server;
  #path: string;

  constructor(server: Server, repository: string) {
    this.#server = server;
    this.#path = `/v2/${repository}`;
  }

  // An image of one random layer; its descriptor.
  async push(tag: string, layerBytes: number): Promise<Descriptor> {
    const config = JSON.stringify({ os: 'linux', id: randomBytes(8).toString('hex') });
    const manifest = {
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: await this.#blob(CONFIG, Buffer.from(config)),
      layers: [await this.#blob(LAYER, randomBytes(layerBytes))],
    };
    return this.#manifest(tag, MANIFEST, manifest);
  }

  // An index of an image for each architecture.
  async pushIndex(tag: string, architectures: string[]): Promise<Descriptor> {
    const manifests: Descriptor[] = [];
    for (const architecture of architectures) {
      const image = await this.push('', 1000);
      manifests.push({ ...image, platform: { os: 'linux', architecture } });
    }
    return this.#manifest(tag, INDEX, { schemaVersion: 2, mediaType: INDEX, manifests });
  }

  async pull(reference: string): Promise<void> {
    const headers = {
      Authorization: `Bearer ${this.#server.token}`,
      Accept: `${MANIFEST}, ${INDEX}`,
    };
    const answer = await fetch(`${this.#server.url}${this.#path}/manifests/${reference}`, {
      headers,
    });
    if (!answer.ok) throw new Error(`pulling ${reference}: ${answer.status}`);
    await answer.arrayBuffer();
  }

  async #blob(mediaType: string, bytes: Buffer): Promise<Descriptor> {
    const begun = await fetch(`${this.#server.url}${this.#path}/blobs/uploads/`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${this.#server.token}` },
    });
    const session = new URL(begun.headers.get('location') ?? '', this.#server.url);
    const digest = digestOf(bytes);
    session.searchParams.set('digest', digest);
    await upload(session.href, this.#server.token, bytes);
    return { mediaType, digest, size: bytes.length };
  }

  async #manifest(tag: string, mediaType: string, document: object): Promise<Descriptor> {
    const text = JSON.stringify(document);
    const reference = tag || digestOf(text);
    const url = `${this.#server.url}${this.#path}/manifests/${reference}`;
    await upload(url, this.#server.token, text, { 'Content-Type': mediaType });
    return { mediaType, digest: digestOf(text), size: text.length };
  }
}
