// A strict S3 in memory: it verifies every signature (AWS Signature Version 4, from the reference and
// not from our signer) and every payload hash, and misbehaves when told to: errors, slowness, silence,
// answers that break off. Path-style, one bucket.
import { createHash, createHmac, randomUUID } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';

export interface Stored {
  bytes: Buffer;
  modified: Date;
}

/** What the next requests meet; `undefined` lets one through. */
export type Fault = 'error500' | 'slowdown' | 'silence' | 'break' | 'hang' | 'hold' | 'short' | 'slow' | 'reset' | 'late' | undefined;

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest('hex');
const hmac = (key: string | Buffer, data: string) => createHmac('sha256', key).update(data).digest();
const encode = (text: string) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

export class FakeS3 {
  readonly objects = new Map<string, Stored>();
  readonly uploads = new Map<string, { key: string; parts: Map<number, Buffer>; begun: Date }>();
  /** Every request that was let through: `METHOD key`. */
  readonly seen: string[] = [];
  /** Asked before each request; its answer decides what happens. */
  fault: (request: http.IncomingMessage) => Fault = () => undefined;
  /** Gives out the rest of what `hold` keeps back. */
  release: () => void = () => {};
  readonly bucket: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** Of lent credentials: whether a request's session token is one to accept now. */
  acceptsSession: (token: string | undefined) => boolean = (token) => token === undefined;
  private readonly server: http.Server;
  private readonly scheme: 'http' | 'https';

  private constructor(bucket: string, accessKey: string, secretKey: string, tls?: https.ServerOptions) {
    this.bucket = bucket;
    this.accessKey = accessKey;
    this.secretKey = secretKey;
    this.scheme = tls ? 'https' : 'http';
    const serve = (request: http.IncomingMessage, response: http.ServerResponse) => void this.serve(request, response);
    this.server = tls ? https.createServer(tls, serve) : http.createServer(serve);
  }

  static async start({ bucket = 'builds', accessKey = 'AKIDEXAMPLE', secretKey = 'secret/key+of=the/test', tls }: { bucket?: string; accessKey?: string; secretKey?: string; tls?: https.ServerOptions } = {}): Promise<FakeS3> {
    const fake = new FakeS3(bucket, accessKey, secretKey, tls);
    await new Promise<void>((resolve) => fake.server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get url(): string {
    return `${this.scheme}://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private async serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const fault = this.fault(request);
    if (fault === 'silence') return;
    if (fault === 'reset') {
      if (Number(request.headers['content-length'] ?? 0) === 0) request.socket.destroy();
      else request.once('data', () => request.socket.destroy());
      return;
    }
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer);
    } catch {
      return;
    }
    if (fault === 'error500') return this.refuse(response, 500, 'InternalError');
    if (fault === 'slowdown') return this.refuse(response, 503, 'SlowDown');
    if (fault === 'slow') await new Promise((resolve) => setTimeout(resolve, 100));
    const body = Buffer.concat(chunks);
    const wrong = this.verify(request, body);
    if (wrong) return this.refuse(response, wrong === 'ExpiredToken' ? 400 : 403, wrong);
    const url = new URL(request.url as string, this.url);
    const [, bucket, ...rest] = url.pathname.split('/');
    if (bucket !== this.bucket) return this.refuse(response, 404, 'NoSuchBucket');
    const key = rest.map(decodeURIComponent).join('/');
    this.seen.push(`${request.method} ${key}`);
    this.answer(request, response, key, url.searchParams, body, fault);
  }

  /** The error's code, or undefined for a request that is signed as the reference says. */
  private verify(request: http.IncomingMessage, body: Buffer): string | undefined {
    const match = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([a-z0-9-]+)\/s3\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/.exec(request.headers.authorization ?? '');
    if (!match) return 'AuthorizationHeaderMalformed';
    const [, id, day, region, names, signature] = match;
    if (id !== this.accessKey) return 'InvalidAccessKeyId';
    if (!this.acceptsSession(request.headers['x-amz-security-token'] as string | undefined)) return 'ExpiredToken';
    const date = String(request.headers['x-amz-date']);
    const at = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
    if (!date.startsWith(day) || !(Math.abs(Date.now() - at) < 15 * 60_000)) return 'RequestTimeTooSkewed';
    const signed = names.split(';');
    if (names !== [...signed].sort().join(';')) return 'AuthorizationHeaderMalformed';
    for (const name of Object.keys(request.headers)) {
      if ((name === 'host' || name.startsWith('x-amz-')) && !signed.includes(name)) return 'HeadersNotSigned';
    }
    const payload = String(request.headers['x-amz-content-sha256']);
    if (payload !== 'UNSIGNED-PAYLOAD' && payload !== sha256(body)) return 'XAmzContentSHA256Mismatch';
    const [path, search = ''] = (request.url as string).split('?');
    const query = search.split('&').filter(Boolean).map((field) => {
      const [name, value = ''] = field.split('=');
      return [encode(decodeURIComponent(name)), encode(decodeURIComponent(value))];
    });
    query.sort((a, b) => (a[0] === b[0] ? (a[1] < b[1] ? -1 : 1) : a[0] < b[0] ? -1 : 1));
    const canonical = [
      request.method,
      path.split('/').map((segment) => encode(decodeURIComponent(segment))).join('/'),
      query.map((field) => field.join('=')).join('&'),
      ...signed.map((name) => `${name}:${String(request.headers[name]).trim()}`),
      '',
      names,
      payload,
    ].join('\n');
    const scope = `${day}/${region}/s3/aws4_request`;
    const key = hmac(hmac(hmac(hmac(`AWS4${this.secretKey}`, day), region), 's3'), 'aws4_request');
    const expected = hmac(key, ['AWS4-HMAC-SHA256', date, scope, sha256(canonical)].join('\n')).toString('hex');
    return expected === signature ? undefined : 'SignatureDoesNotMatch';
  }

  private refuse(response: http.ServerResponse, status: number, code: string): void {
    response.writeHead(status, { 'Content-Type': 'application/xml' });
    response.end(`<?xml version="1.0"?><Error><Code>${code}</Code></Error>`);
  }

  private answer(request: http.IncomingMessage, response: http.ServerResponse, key: string, query: URLSearchParams, body: Buffer, fault: Fault): void {
    const { method } = request;
    if (query.has('uploads') && method === 'POST') {
      const id = `${randomUUID()}+/=&`;
      this.uploads.set(id, { key, parts: new Map(), begun: new Date() });
      response.end(`<InitiateMultipartUploadResult><UploadId>${id.replace(/&/g, '&amp;')}</UploadId></InitiateMultipartUploadResult>`);
    } else if (query.has('uploads')) {
      const list = [...this.uploads].map(([id, upload]) => `<Upload><Key>${upload.key}</Key><UploadId>${id.replace(/&/g, '&amp;')}</UploadId><Initiated>${upload.begun.toISOString()}</Initiated></Upload>`);
      response.end(`<ListMultipartUploadsResult>${list.join('')}</ListMultipartUploadsResult>`);
    } else if (query.has('uploadId')) {
      this.multipart(response, method as string, key, query, body, fault);
    } else if (query.has('list-type')) {
      this.list(response, query);
    } else if (method === 'PUT' && request.headers['x-amz-copy-source']) {
      const from = this.objects.get(String(request.headers['x-amz-copy-source']).replace(`/${this.bucket}/`, ''));
      if (!from) return this.refuse(response, 404, 'NoSuchKey');
      this.objects.set(key, from);
      response.end('<CopyObjectResult></CopyObjectResult>');
    } else if (method === 'PUT') {
      this.objects.set(key, { bytes: body, modified: new Date() });
      response.writeHead(200, { ETag: `"${createHash('md5').update(body).digest('hex')}"` }).end();
    } else if (method === 'DELETE') {
      this.objects.delete(key);
      response.writeHead(204).end();
    } else {
      this.read(request, response, key, fault);
    }
  }

  private multipart(response: http.ServerResponse, method: string, key: string, query: URLSearchParams, body: Buffer, fault: Fault): void {
    const id = query.get('uploadId') as string;
    const upload = this.uploads.get(id);
    if (!upload || upload.key !== key) return this.refuse(response, 404, 'NoSuchUpload');
    const etag = (part: Buffer) => `"${createHash('md5').update(part).digest('hex')}"`;
    if (method === 'PUT') {
      upload.parts.set(Number(query.get('partNumber')), body);
      response.writeHead(200, { ETag: etag(body) }).end();
      return;
    }
    this.uploads.delete(id);
    if (method === 'DELETE') {
      response.writeHead(204).end();
      return;
    }
    const named = [...body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber><ETag>([^<]+)<\/ETag>/g)];
    const parts = named.map(([, number, tag]) => ({ part: upload.parts.get(Number(number)), tag }));
    if (parts.some(({ part, tag }) => !part || etag(part) !== tag)) return this.refuse(response, 400, 'InvalidPart');
    if (parts.slice(0, -1).some(({ part }) => (part as Buffer).length < 5 * 2 ** 20)) return this.refuse(response, 400, 'EntityTooSmall');
    // S3 answers before it knows.
    if (fault === 'late') {
      response.end('<Error><Code>InternalError</Code></Error>');
      return;
    }
    this.objects.set(key, { bytes: Buffer.concat(parts.map(({ part }) => part as Buffer)), modified: new Date() });
    response.end('<CompleteMultipartUploadResult></CompleteMultipartUploadResult>');
  }

  private list(response: http.ServerResponse, query: URLSearchParams): void {
    const after = query.get('start-after') ?? '';
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(query.get('prefix') ?? '') && key > after).sort();
    const page = keys.slice(0, Number(query.get('max-keys') ?? 1000));
    const entries = page.map((key) => {
      const { bytes, modified } = this.objects.get(key) as Stored;
      return `<Contents><Key>${key}</Key><LastModified>${modified.toISOString()}</LastModified><Size>${bytes.length}</Size></Contents>`;
    });
    response.end(`<ListBucketResult>${entries.join('')}<IsTruncated>${page.length < keys.length}</IsTruncated></ListBucketResult>`);
  }

  private read(request: http.IncomingMessage, response: http.ServerResponse, key: string, fault: Fault): void {
    const object = this.objects.get(key);
    if (!object) {
      if (request.method !== 'HEAD') return this.refuse(response, 404, 'NoSuchKey');
      response.writeHead(404).end();
      return;
    }
    const begin = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const bytes = object.bytes.subarray(begin);
    // What a bucket that lost an object's end says of it.
    const told = fault === 'short' ? bytes.subarray(0, bytes.length - 1) : bytes;
    response.writeHead(begin > 0 ? 206 : 200, { 'Content-Length': told.length, 'Last-Modified': object.modified.toUTCString() });
    if (request.method === 'HEAD') {
      response.end();
    } else if (fault === 'break') {
      response.write(bytes.subarray(0, bytes.length / 2), () => response.destroy());
    } else if (fault === 'hang') {
      response.write(bytes.subarray(0, bytes.length / 2));
    } else if (fault === 'hold') {
      response.write(bytes.subarray(0, bytes.length / 2));
      this.release = () => response.end(bytes.subarray(bytes.length / 2));
    } else if (fault === 'slow') {
      this.trickle(response, bytes);
    } else {
      response.end(told);
    }
  }

  /** A sixteenth at a time, as slowly as timers allow. */
  private trickle(response: http.ServerResponse, bytes: Buffer): void {
    const step = Math.ceil(bytes.length / 16);
    if (response.destroyed) return;
    response.write(bytes.subarray(0, step));
    if (bytes.length > step) setTimeout(() => this.trickle(response, bytes.subarray(step)), 20);
    else response.end();
  }
}
