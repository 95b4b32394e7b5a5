// Start, refusals to start, and the end of `nimbus up`.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { binary, Nimbus } from './nimbus.ts';

const attempt = (args: string[]) =>
  new Promise<{ code: number | null; stderr: string }>((resolve) => {
    execFile(binary, args, { timeout: 30_000 }, (error, _, stderr) => {
      resolve({ code: error ? ((error as { code?: number }).code ?? null) : 0, stderr });
    });
  });

describe('nimbus up', () => {
  let nimbus: Nimbus;
  before(async () => {
    nimbus = await Nimbus.start();
  });
  after(() => nimbus.stop());

  test('refuses a data directory that another process uses, and names the process', async () => {
    const { code, stderr } = await attempt(['up', '--data', nimbus.data, '--listen', '127.0.0.1:0', '--no-agent']);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`${nimbus.pid}`));
  });

  test('refuses an address that is taken, and names it', async () => {
    const { code, stderr } = await attempt(['up', '--data', `${nimbus.data}/other`, '--listen', `127.0.0.1:${nimbus.port}`, '--no-agent']);
    assert.equal(code, 1);
    assert.match(stderr, new RegExp(`${nimbus.port}`));
  });

  test('refuses a configuration with an unknown key, and names the nearest', async () => {
    const file = path.join(nimbus.data, 'wrong.toml');
    writeFileSync(file, '[agent]\nslot = 2\n');
    const { code, stderr } = await attempt(['up', '--data', `${nimbus.data}/other`, '--config', file]);
    assert.equal(code, 1);
    assert.match(stderr, /unknown key in \[agent\].*'slot'/);
    assert.match(stderr, /did you mean 'slots'/);
  });

  for (const [what, text] of Object.entries({
    'an address that is none': '[server]\nlisten = "x"\n',
    'a database of no known engine': '[control]\ndatabase = "postgresql://x"\n',
    'webhook secrets that are not there': '[webhook]\nsecrets_file = "/nowhere/secret"\n',
    'a certificate that is not there': '[server]\ntls_certificate = "/nowhere/cert"\ntls_key = "/nowhere/key"\n',
    'a metrics token that is not there': '[metrics]\ntoken_file = "/nowhere/token"\n',
    'a blob store of no known kind': '[blob]\nstore = "ftp://x"\n',
    'marks the wrong way round': '[blob]\nquota_low_percent = 96\n',
  })) {
    test(`refuses ${what} before it makes anything, as config check does`, async () => {
      const file = path.join(nimbus.data, 'refused.toml');
      writeFileSync(file, text);
      const checked = await attempt(['config', 'check', '--config', file]);
      const started = await attempt(['up', '--data', `${nimbus.data}/unmade`, '--config', file]);
      assert.equal(checked.code, 1);
      assert.equal(started.code, 1);
      assert.equal(started.stderr, checked.stderr);
      assert.ok(!existsSync(`${nimbus.data}/unmade`));
    });
  }

  test('reads the webhook secrets again on SIGHUP; the old and the new are valid together', async () => {
    const old = nimbus.secret;
    writeFileSync(path.join(nimbus.data, 'webhook.secret'), `another-secret-of-enough-length\n${old}\n`);
    process.kill(nimbus.pid, 'SIGHUP');
    const { queued, sign, until } = await import('./nimbus.ts');
    await until('the new secret to be valid', async () => {
      const body = queued();
      return (await nimbus.deliver(body, { signature: sign('another-secret-of-enough-length', body) })).status === 202;
    });
    const body = queued();
    assert.equal((await nimbus.deliver(body, { signature: sign(old, body) })).status, 202);
  });

  test('makes nothing that other users may read, even in a directory open to all', async () => {
    const data = mkdtempSync(path.join(tmpdir(), 'nimbus-open-'));
    chmodSync(data, 0o755);
    const before = process.umask(0o022);
    const open = await Nimbus.start({ data }).finally(() => process.umask(before));
    try {
      const readable = readdirSync(data).filter((name) => (statSync(path.join(data, name)).mode & 0o077) !== 0);
      assert.deepEqual(readable, []);
      assert.ok(existsSync(path.join(data, 'nimbus.db')));
    } finally {
      await open.stop();
    }
  });

  test('an org without a limit is shown so', async () => {
    const { code, stdout } = await nimbus.cli(['org', 'set', 'boundless', '--concurrent-jobs', '0']);
    assert.equal(code, 0);
    assert.match(stdout, /boundless .*no limit/);
  });

  test('keeps what it was told over a restart', async () => {
    assert.equal(await nimbus.end(), 0);
    await nimbus.boot();
    assert.ok((await nimbus.get('/api/v1/jobs')).json.items.length > 0);
  });
});

describe('SIGTERM', () => {
  test('answers an agent that waits for jobs, and ends nimbus up with 0', async () => {
    const nimbus = await Nimbus.start();
    try {
      const enrolled = await nimbus.post('/api/v1/agents/enrollments', {});
      const agent = (await nimbus.post('/api/v1/agents', { name: 'waits', slots: 1, version: '0', vmm: 'none', accel: 'none', cgroup: 'none' }, { token: enrolled.json.token })).json;
      const waiting = nimbus.post(`/api/v1/agents/${agent.id}/assignments`, { slots_free: 1, wait_s: 30 }, { token: agent.credential });
      await nimbus.get('/healthz');
      const [answer, code] = await Promise.all([waiting, nimbus.end()]);
      assert.equal(answer.status, 204, answer.text);
      assert.equal(code, 0);
    } finally {
      await nimbus.stop();
    }
  });
});
