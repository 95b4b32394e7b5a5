// `nimbus cache fsck` beside a running server whose stored bytes went bad.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes, createHash } from 'node:crypto';
import { readdirSync, truncateSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { binary, Nimbus } from './nimbus.ts';

interface Report {
  blobs: number;
  findings: { kind: string; detail: string; repaired: boolean }[];
}

describe('nimbus cache fsck', () => {
  let nimbus: Nimbus;
  before(async () => {
    nimbus = await Nimbus.start();
  });
  after(() => nimbus.stop());

  const fsck = (...options: string[]) =>
    new Promise<Report & { code: number }>((resolve, reject) => {
      execFile(binary, ['cache', 'fsck', '--json', '--data', nimbus.data, ...options], (error, stdout, stderr) => {
        if (!stdout) reject(new Error(stderr));
        else resolve({ ...JSON.parse(stdout), code: Number(error?.code ?? 0) });
      });
    });
  const bytes = randomBytes(5000);
  const digest = createHash('sha256').update(bytes).digest('hex');
  const place = `/v2/acme/app/blobs/sha256:${digest}`;
  const admin = () => ({ Authorization: `Bearer ${nimbus.token}` });

  test('finds nothing wrong with a pushed blob, then that it is torn, and takes it out', async () => {
    const begun = await fetch(`${nimbus.url}/v2/acme/app/blobs/uploads/?digest=sha256:${digest}`, { method: 'POST', headers: admin(), body: bytes });
    assert.equal(begun.status, 201);
    assert.deepEqual((await fsck()).findings, []);
    const blobs = path.join(nimbus.data, 'blobs/sha256');
    const [file] = readdirSync(blobs, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    truncateSync(path.join(file.parentPath, file.name), 100);
    const broken = await fsck();
    assert.equal(broken.code, 1);
    assert.deepEqual(broken.findings.map(({ kind }) => kind), ['wrong-size']);
    const repaired = await fsck('--repair');
    assert.equal(repaired.code, 0);
    assert.ok(repaired.findings[0].repaired);
    assert.deepEqual((await fsck()).findings, []);
    assert.equal((await fetch(`${nimbus.url}${place}`, { headers: admin() })).status, 404);
  });
});
