// Roles in processes of their own, talking over TLS with a certificate of a private authority.
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import tls from 'node:tls';
import { binary, canBoot, type Finished, freePort, until } from './nimbus.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'nimbus-roles-'));
const file = (name: string) => path.join(folder, name);

/** A self-signed certificate for this machine, written as NAME.pem and NAME.key. */
function certify(name: string): void {
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', file(`${name}.key`), '-out', file(`${name}.pem`)], { stdio: 'ignore' });
}

class Role {
  log = '';
  readonly child: ChildProcess;
  constructor(args: string[]) {
    this.child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout?.on('data', (data) => (this.log += data));
    this.child.stderr?.on('data', (data) => (this.log += data));
  }
  async end(): Promise<number | null> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    const gone = new Promise<number | null>((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGTERM');
    return gone;
  }
}

describe('roles apart, over TLS', () => {
  let port: number;
  let control: Role;
  let url: string;

  const run = (args: string[], environment: Record<string, string> = {}): Promise<Finished> =>
    new Promise((resolve) => {
      const env = { ...process.env, NIMBUS_SERVER: url, NIMBUS_TOKEN_FILE: file('control/admin.token'), ...environment };
      execFile(binary, args, { env, timeout: 120_000 }, (error, stdout, stderr) => {
        resolve({ code: error ? ((error as { code?: number }).code ?? null) : 0, stdout, stderr });
      });
    });
  const trusted = { NIMBUS_CA_FILE: file('server.pem') };
  const subject = () =>
    new Promise<string>((resolve, reject) => {
      const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
        resolve(String(socket.getPeerCertificate().subject.CN));
        socket.destroy();
      });
      socket.on('error', reject);
    });

  before(async () => {
    certify('server');
    certify('renewed');
    port = await freePort();
    url = `https://127.0.0.1:${port}`;
    writeFileSync(file('control.toml'), `[server]\nlisten = "127.0.0.1:${port}"\ntls_certificate = "${file('server.pem')}"\ntls_key = "${file('server.key')}"\n`);
    control = new Role(['serve', 'control', 'telemetry', '--data', file('control'), '--config', file('control.toml')]);
    await until('the control plane to answer', async () => {
      if (control.child.exitCode !== null) throw new Error(control.log);
      return (await run(['org', 'list'], trusted)).code === 0;
    });
  });
  after(async () => {
    await control.end();
    rmSync(folder, { recursive: true });
  });

  test('a client that does not know the authority is refused, and told how to name it', async () => {
    const { code, stderr } = await run(['job', 'list'], { NIMBUS_CA_FILE: '' });
    assert.equal(code, 1);
    assert.match(stderr, /its certificate is not trusted/);
    assert.match(stderr, /NIMBUS_CA_FILE/);
  });

  test('an agent enrols with the token of a file and runs a job', { skip: canBoot() }, async () => {
    const enrolled = await run(['agent', 'enroll', '--json'], trusted);
    assert.equal(enrolled.code, 0, enrolled.stderr);
    writeFileSync(file('enrol.token'), `${JSON.parse(enrolled.stdout).token}\n`);
    writeFileSync(file('agent.toml'), `[agent]\nserver = "${url}"\nca_file = "${file('server.pem')}"\nenrollment_token_file = "${file('enrol.token')}"\nslots = 1\n`);
    const agent = new Role(['serve', 'agent', '--data', file('agent'), '--config', file('agent.toml')]);
    try {
      const job = await run(['run', '--', 'sh', '-c', 'echo $((6*7)); exit 7'], trusted);
      assert.equal(job.code, 7, `${job.stderr}\n${agent.log}`);
      assert.equal(job.stdout, '42\n');
    } finally {
      assert.equal(await agent.end(), 0, agent.log);
    }
  });

  test('a renewed certificate is served after SIGHUP, without a restart', async () => {
    assert.equal(await subject(), 'server');
    const oldKey = readFileSync(file('server.key'));
    renameSync(file('renewed.pem'), file('server.pem'));
    renameSync(file('renewed.key'), file('server.key'));
    control.child.kill('SIGHUP');
    await until('the renewed certificate', async () => (await subject()) === 'renewed');
    writeFileSync(file('server.key'), oldKey);
    control.child.kill('SIGHUP');
    await until('the refusal of a key that does not fit', () => /error.*(certificate|key)/i.test(control.log));
    assert.equal(await subject(), 'renewed');
  });
});
