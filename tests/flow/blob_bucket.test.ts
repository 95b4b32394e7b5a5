// The way to the bucket: over TLS, with credentials that are lent and renewed, and through every
// fault that a bucket can have.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { type Fault, FakeS3 } from '../fakes/s3.ts';
import { BlobServer, digestOf, scratchFolder } from './blob_server.ts';
import { binary, Nimbus, until } from './nimbus.ts';

const storeOf = (s3: FakeS3) => `s3://${s3.bucket}/some/folder?endpoint=${s3.url}&region=eu-central-1`;
const keysOf = (s3: FakeS3) => ({ AWS_ACCESS_KEY_ID: s3.accessKey, AWS_SECRET_ACCESS_KEY: s3.secretKey });
const forgetNear = async (server: BlobServer) => {
  await server.end('SIGKILL');
  rmSync(path.join(server.data, 'blobs'), { recursive: true });
  await server.begin();
};

describe('over TLS', () => {
  const folder = scratchFolder();
  const file = (name: string) => path.join(folder, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'ignore' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const authority = (name: string) => openssl('req', '-x509', ...curve, '-days', '2', '-subj', `/CN=${name}`, '-keyout', file(`${name}.key`), '-out', file(`${name}.pem`));
  const certify = (name: string, host: string) => {
    openssl('req', ...curve, '-subj', `/CN=${name}`, '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`));
    writeFileSync(file(`${name}.ext`), `subjectAltName=${host}\n`);
    openssl('x509', '-req', '-days', '2', '-in', file(`${name}.csr`), '-CA', file('private.pem'), '-CAkey', file('private.key'), '-CAcreateserial', '-extfile', file(`${name}.ext`), '-out', file(`${name}.pem`));
    return { key: readFileSync(file(`${name}.key`)), cert: readFileSync(file(`${name}.pem`)) };
  };
  let s3: FakeS3;
  let elsewhere: FakeS3;
  before(async () => {
    authority('private');
    authority('other');
    s3 = await FakeS3.start({ tls: certify('here', 'IP:127.0.0.1') });
    elsewhere = await FakeS3.start({ tls: certify('elsewhere', 'DNS:elsewhere.example') });
  });
  after(async () => {
    await s3.stop();
    await elsewhere.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test('with a private authority, blobs of every size go there and back', async () => {
    const server = await BlobServer.start({ store: storeOf(s3), environment: { ...keysOf(s3), NIMBUS_BLOB_S3_CA_FILE: file('private.pem') } });
    try {
      const blobs = [0, 100_000, 40_000_000].map((size) => randomBytes(size));
      for (const bytes of blobs) assert.equal((await server.put(bytes)).status, 201);
      await forgetNear(server);
      for (const bytes of blobs) assert.equal(digestOf((await server.get(digestOf(bytes))).body), digestOf(bytes));
      assert.deepEqual((await server.fsck()).findings, []);
    } finally {
      await server.stop();
    }
  });

  const refusals: [string, () => FakeS3, string, RegExp][] = [
    ['another authority', () => s3, 'other.pem', /certificate is not trusted: (unable to get local issuer|self.signed|unable to verify)/],
    ['no authority but the system’s', () => s3, '', /certificate is not trusted: /],
    ['a certificate of another host', () => elsewhere, 'private.pem', /certificate is not trusted: it is not for the host 127\.0\.0\.1/],
  ];
  for (const [what, bucket, trusted, said] of refusals) {
    test(`with ${what}, nothing is sent and the error says why`, async () => {
      bucket().seen.length = 0;
      const server = await BlobServer.start({ store: storeOf(bucket()), environment: { ...keysOf(bucket()), NIMBUS_BLOB_S3_CA_FILE: trusted && file(trusted) } });
      try {
        const answer = await server.put(randomBytes(10));
        assert.equal(answer.status, 503);
        assert.match(answer.body.toString(), said);
        assert.match((await server.put(randomBytes(10))).body.toString(), said, 'and goes on saying it');
        assert.deepEqual(bucket().seen, []);
      } finally {
        await server.stop();
      }
    });
  }

  test('an authority’s file that is none is refused before the start', () => {
    writeFileSync(file('wrong.pem'), 'no certificate');
    const environment = { ...process.env, NIMBUS_BLOB_STORE: storeOf(s3), NIMBUS_BLOB_S3_CA_FILE: file('wrong.pem') };
    assert.throws(() => execFileSync(binary, ['config', 'check', '--config', ''], { env: environment, stdio: 'pipe' }), /blob\.s3_ca_file/);
  });
});

describe('credentials of the instance’s role', () => {
  // Version 2 of the metadata service, strictly: a session first, and its token with every question.
  const lifetime = 3000;
  const lent: { token: string; until: number }[] = [];
  let sessions = 0;
  let s3: FakeS3;
  const metadata = http.createServer((request, response) => {
    const refuse = (status: number) => void response.writeHead(status).end();
    if (request.headers['x-forwarded-for']) return refuse(403);
    if (request.method === 'PUT' && request.url === '/latest/api/token') {
      if (!(Number(request.headers['x-aws-ec2-metadata-token-ttl-seconds']) <= 21_600)) return refuse(400);
      sessions += 1;
      return response.end(`session-${sessions}`);
    }
    if (request.method !== 'GET' || request.headers['x-aws-ec2-metadata-token'] !== `session-${sessions}`) return refuse(401);
    const roles = '/latest/meta-data/iam/security-credentials/';
    if (request.url === roles) return response.end('builders');
    if (request.url !== `${roles}builders`) return refuse(404);
    const token = `lent+${lent.length}/=`;
    lent.push({ token, until: Date.now() + lifetime });
    return response.end(JSON.stringify({ Code: 'Success', LastUpdated: new Date().toISOString(), Type: 'AWS-HMAC', AccessKeyId: s3.accessKey, SecretAccessKey: s3.secretKey, Token: token, Expiration: new Date(Date.now() + lifetime).toISOString() }));
  });
  before(async () => {
    s3 = await FakeS3.start();
    s3.acceptsSession = (token) => lent.some((one) => one.token === token && Date.now() < one.until);
    await new Promise<void>((resolve) => metadata.listen(0, '127.0.0.1', resolve));
  });
  after(async () => {
    await s3.stop();
    metadata.closeAllConnections();
    await new Promise((resolve) => metadata.close(resolve));
  });
  const environment = () => ({ HOME: '/nonexistent', AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${(metadata.address() as AddressInfo).port}` });

  test('are renewed while they are used: no upload fails, and no log says them', async () => {
    const server = await BlobServer.start({ store: storeOf(s3), environment: environment() });
    try {
      await until('three renewals', async () => {
        const answer = await server.put(randomBytes(1000));
        assert.equal(answer.status, 201, answer.body.toString());
        return lent.length >= 5;
      }, 60);
      // Withdrawn before their time: the bucket says so, and new ones are asked for.
      for (const one of lent) one.until = 0;
      assert.equal((await server.put(randomBytes(1000))).status, 201);
      for (const secret of [s3.secretKey, 'lent+', 'session-']) assert.ok(!server.log.includes(secret), server.log);
    } finally {
      await server.stop();
    }
  });

  test('are not asked for where the metadata service is disabled: the start is refused, with what to set', async () => {
    const before = sessions;
    await assert.rejects(BlobServer.start({ store: storeOf(s3), environment: { ...environment(), AWS_EC2_METADATA_DISABLED: 'true' } }), /there are no credentials for the bucket/);
    assert.equal(sessions, before);
  });
});

describe('whatever the bucket does', () => {
  // Never: the request is taken and not answered; the client would wait for its time-out, so the
  // server is killed in between, as one is that nobody wants to wait for.
  const faults: [Exclude<Fault, undefined>, 'answered' | 'killed'][] = [['error500', 'answered'], ['slowdown', 'answered'], ['reset', 'answered'], ['break', 'answered'], ['short', 'answered'], ['late', 'answered'], ['slow', 'answered'], ['silence', 'killed'], ['hang', 'killed']];
  let s3: FakeS3;
  let server: BlobServer;
  const whole = new Map<string, number>();
  beforeEach(async () => {
    s3 = await FakeS3.start();
    server = await BlobServer.start({ store: storeOf(s3), environment: keysOf(s3) });
    whole.clear();
  });
  afterEach(async () => {
    await server.stop();
    await s3.stop();
  });
  // The last one goes in parts.
  const sizes = [1000, 1_000_000, 18_000_000];

  const putAll = (blobs: Buffer[]) => Promise.all(blobs.map(async (bytes) => {
    const answer = await server.put(bytes).catch(() => undefined);
    if (answer?.status === 201) whole.set(digestOf(bytes), bytes.length);
    return answer;
  }));
  const getAll = (digests: string[]) => Promise.all(digests.map(async (digest) => {
    const answer = await server.get(digest).catch(() => undefined);
    if (answer?.status === 200) assert.equal(digestOf(answer.body), digest, 'nothing cut or rotten is ever whole');
    return answer;
  }));
  const restart = async () => {
    await server.end('SIGKILL');
    await server.begin();
  };
  const under = async (fault: Fault, how: 'answered' | 'killed', act: () => Promise<unknown>) => {
    let met = 0;
    s3.fault = (request) => {
      // What only a body can have meets only requests for bodies.
      const reads = request.method === 'GET' && !request.url?.includes('?');
      if ((fault === 'break' || fault === 'short' || fault === 'hang') && !reads) return undefined;
      // A HEAD goes before each upload: let some reach the bucket.
      if (fault === 'silence' && request.method === 'HEAD') return undefined;
      met += 1;
      return fault;
    };
    const acted = act();
    if (how === 'killed') {
      await until('the fault to be met, or nothing to meet it', async () => met > 0 || (await Promise.race([acted.then(() => true), new Promise((resolve) => setTimeout(resolve, 10))])) === true);
      await server.end('SIGKILL');
    }
    await acted;
    s3.fault = () => undefined;
  };
  const nothingIsWrong = async () => {
    const report = await server.fsck();
    assert.deepEqual(report.findings, []);
    assert.equal(report.blobs, whole.size, 'what was acknowledged, and nothing else');
    assert.equal(report.bytes, [...whole.values()].reduce((sum, size) => sum + size, 0));
  };

  for (const [fault, how] of faults) {
    test(`${fault} while blobs are stored: acknowledged ones are there, usage is exact`, async () => {
      const blobs = sizes.map((size) => randomBytes(size));
      await under(fault, how, () => putAll(blobs));
      await restart();
      await nothingIsWrong();
      await putAll(blobs);
      for (const answer of await getAll(blobs.map(digestOf))) assert.equal(answer?.status, 200);
    });

    test(`${fault} while blobs are read: no answer looks whole that is not`, async () => {
      const blobs = sizes.map((size) => randomBytes(size));
      for (const answer of await putAll(blobs)) assert.equal(answer?.status, 201);
      await forgetNear(server);
      await under(fault, how, () => getAll(blobs.map(digestOf)));
      await restart();
      await nothingIsWrong();
      for (const answer of await getAll(blobs.map(digestOf))) assert.equal(answer?.status, 200);
    });
  }
});

describe('readiness', () => {
  test('has the storage’s part: away, and back, while the whole goes on', async () => {
    const s3 = await FakeS3.start();
    s3.fault = () => 'slowdown';
    const nimbus = await Nimbus.start({ config: `[blob]\nstore = "${storeOf(s3)}"\ns3_access_key_id = "${s3.accessKey}"\ns3_secret_access_key = "${s3.secretKey}"\n` });
    try {
      const storage = async (status: string) => {
        const ready = await nimbus.get('/readyz', { token: null });
        assert.equal(ready.status, 200);
        return ready.json.parts.storage.status === status && ready.json;
      };
      const away = await until('the bucket to be missed', () => storage('unavailable'), 60);
      assert.equal(away.status, 'degraded');
      assert.equal(away.parts.storage.detail, 'the bucket does not answer');
      assert.match((await nimbus.get('/metrics', { token: null })).text, /^nimbus_blob_store_up 0$/m);
      s3.fault = () => undefined;
      await until('the bucket to be seen again', () => storage('ok'), 60);
      assert.match((await nimbus.get('/metrics', { token: null })).text, /^nimbus_blob_store_up 1$/m);
      const asked = s3.seen.length;
      for (let i = 0; i < 50; i += 1) assert.ok(await storage('ok'));
      assert.ok(s3.seen.length - asked <= 2, 'questions cost the bucket nothing');
    } finally {
      await nimbus.stop();
      await s3.stop();
    }
  });
});
