// Starts Nimbus on a fresh data directory, delivers one signed workflow_job webhook, follows the eval job
// that it causes in a microVM, and shows the job's eval result and the dashboard's address.
//
//   DEMO_EXIT=1   stop afterwards; exit 0 only if the job succeeded
//   DEMO_PORT=N   listen there instead of on a free port
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const program = process.env.NIMBUS_BINARY ?? path.join(root, 'build/nimbus');
const webhook = path.join(root, 'examples/workflow_job.queued.json');
const READY_LIMIT_S = 240; // the first start unpacks kernel and image, and boots a machine in emulation
const JOB_LIMIT_S = 300;
const STOP_LIMIT_S = 60;
const FINAL = new Set(['succeeded', 'failed', 'cancelled', 'timed_out', 'lost']);

const CONFIG = `# What the label "nimbus" means in the demo.
[agent]
slots = 1
warm = 1

[profiles.nimbus]
image = "nimbus/eval-demo"
entry = ["node", "/opt/eval-suite/run.mjs"]
cpus = 2
memory_mb = 1024
timeout_s = 300
`;

class DemoError extends Error {}

const heading = (text) => console.log(`\n== ${text}`);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(what, seconds, probe) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > deadline) throw new DemoError(`waited ${seconds} s for ${what}`);
    await sleep(200);
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** `nimbus up` and the client commands that talk to it. */
class Nimbus {
  static async start() {
    const nimbus = new Nimbus();
    nimbus.data = mkdtempSync(path.join(tmpdir(), 'nimbus-demo-'));
    nimbus.port = Number(process.env.DEMO_PORT ?? await freePort());
    nimbus.url = `http://127.0.0.1:${nimbus.port}`;
    nimbus.log = path.join(nimbus.data, 'nimbus.log');
    const config = path.join(nimbus.data, 'demo.toml');
    writeFileSync(config, CONFIG);
    const log = openSync(nimbus.log, 'a');
    const args = ['up', '--data', nimbus.data, '--listen', `127.0.0.1:${nimbus.port}`, '--config', config];
    // A group of its own: Ctrl-C reaches this script, which then stops Nimbus the orderly way.
    nimbus.child = spawn(program, args, { stdio: ['ignore', log, log], detached: true });
    nimbus.ended = new Promise((resolve) => {
      nimbus.child.on('error', (error) => resolve(error.message));
      nimbus.child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    nimbus.ended.then((how) => { nimbus.end = how; });
    return nimbus;
  }

  get env() {
    return { ...process.env, NIMBUS_SERVER: this.url, NIMBUS_TOKEN_FILE: path.join(this.data, 'admin.token') };
  }

  checkAlive() {
    if (this.end !== undefined) throw new DemoError(`nimbus up ended (${this.end})`);
  }

  async ready() {
    let told = '';
    await until('Nimbus to be ready', READY_LIMIT_S, async () => {
      this.checkAlive();
      const answer = await fetch(`${this.url}/readyz`).catch(() => undefined);
      const health = await answer?.json().catch(() => undefined);
      const parts = Object.entries(health?.parts ?? {});
      const { agent } = health?.parts ?? {};
      if (agent?.status === 'unavailable') throw new DemoError(`jobs cannot run on this machine: ${agent.detail ?? 'see the log'}`);
      const waiting = parts.filter(([, part]) => part.status !== 'ok').map(([name, part]) => `${name} ${part.detail ?? part.status}`).join(', ');
      if (waiting && waiting !== told) console.log(`waiting: ${waiting}`);
      told = waiting;
      return answer?.status === 200 && parts.length > 0 && waiting === '';
    });
  }

  /** Runs a client command and returns what it prints. */
  command(...args) {
    return new Promise((resolve, reject) => {
      execFile(program, args, { env: this.env, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
        if (error) reject(new DemoError(`nimbus ${args.join(' ')}: ${stderr.trim() || error.message}`));
        else resolve(stdout);
      });
    });
  }

  /** Runs a client command whose output people see as it comes. */
  show(...args) {
    return new Promise((resolve) => {
      spawn(program, args, { env: this.env, stdio: ['ignore', 'inherit', 'inherit'] }).on('exit', resolve);
    });
  }

  async stop() {
    if (this.end !== undefined) return;
    this.child.kill('SIGTERM');
    const limit = setTimeout(() => this.child.kill('SIGKILL'), STOP_LIMIT_S * 1000);
    await this.ended;
    clearTimeout(limit);
  }
}

function checkBuilt() {
  for (const file of [program, path.join(root, 'build/images/eval-demo.oci.tar')])
    if (!existsSync(file)) throw new DemoError(`${file} is not there: run make demo, which builds it`);
}

async function runJob(nimbus) {
  heading('GitHub\'s webhook: workflow_job queued, runs-on: nimbus');
  const secret = path.join(nimbus.data, 'webhook.secret');
  const delivered = JSON.parse(await nimbus.command('webhook', 'send', webhook, '--move-times', '--secret-file', secret, '--json'));
  if (delivered.job === undefined) throw new DemoError(`the delivery caused no job: ${JSON.stringify(delivered)}`);
  console.log(`delivery accepted: ${delivered.result}, job ${delivered.job}`);

  heading(`log of job ${delivered.job}, live from its microVM`);
  await nimbus.show('job', 'logs', '--follow', String(delivered.job));
  const job = await until('the job to end', JOB_LIMIT_S, async () => {
    nimbus.checkAlive();
    const shown = JSON.parse(await nimbus.command('job', 'show', String(delivered.job), '--json'));
    return FINAL.has(shown.state) && shown;
  });
  console.log(`job ${job.id}: ${job.state}${job.reason ? ` (${job.reason})` : ''}`);
  return job;
}

async function showEval(nimbus, job) {
  heading('its eval result');
  // Spans are acknowledged once they are durable; for a moment after, a query may not see them yet.
  let problem = '';
  const shown = await until('the eval result', 30, () => nimbus.command('eval', 'show', String(job.id)).catch((error) => {
    problem = error.message;
  })).catch(() => undefined);
  console.log(shown?.trimEnd() ?? problem);
  return shown !== undefined;
}

async function main() {
  checkBuilt();
  heading('starting Nimbus');
  const nimbus = await Nimbus.start();
  let stopping = false;
  let release;
  const asked = new Promise((resolve) => { release = resolve; });
  const onSignal = () => { stopping = true; release(); };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  console.log(`data directory ${nimbus.data}, log ${nimbus.log}`);
  let succeeded = false;
  try {
    const work = async () => {
      await nimbus.ready();
      const job = await runJob(nimbus);
      succeeded = (await showEval(nimbus, job)) && job.state === 'succeeded';
    };
    await Promise.race([work(), asked]);
    if (!stopping) {
      heading('dashboard');
      console.log(`${nimbus.url}/\nsign in with the token in ${path.join(nimbus.data, 'admin.token')}`);
      if (process.env.DEMO_EXIT !== '1') {
        console.log('running; Ctrl-C stops it');
        await Promise.race([asked, nimbus.ended]);
      }
    }
  } catch (error) {
    if (!(error instanceof DemoError)) throw error;
    console.error(`demo failed: ${error.message}`);
    if (existsSync(nimbus.log)) console.error(readFileSync(nimbus.log, 'utf8').trimEnd().split('\n').slice(-20).join('\n'));
  } finally {
    await nimbus.stop();
  }
  if (succeeded || stopping) rmSync(nimbus.data, { recursive: true, force: true });
  else console.error(`kept for a look: ${nimbus.data}`);
  return succeeded ? 0 : 1;
}

main().then(
  (code) => process.exit(code),
  (error) => {
    console.error(error instanceof DemoError ? `demo failed: ${error.message}` : error);
    process.exit(1);
  },
);
