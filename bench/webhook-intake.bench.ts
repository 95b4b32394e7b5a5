// Signed 7 KB deliveries a second, durable before the answer, against the same HTTP server answering
// a POST of the same bodies without doing anything. In turn, each with the whole machine: the client has
// core 1, the server runs where the system puts its threads.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Nimbus, queued, root, sign, until } from '../tests/flow/nimbus.ts';
import { median, report, wrk } from './report.ts';

const rounds = 5;
const seconds = 3;
// Enough that deliveries are there to be taken while others wait for the disk.
const connections = 128;
const perRound = 150_000;

const folder = mkdtempSync(path.join(tmpdir(), 'nimbus-bench-'));
const nimbus = await Nimbus.start({ config: '[server]\nlog_level = "warn"\n[limits]\njobs_per_minute = 1000000\n' });
const noop = spawn(path.join(root, 'build/release/bench/noop_server'), [], { stdio: ['ignore', 'pipe', 'inherit'] });
let said = '';
noop.stdout.on('data', (data) => (said += data));
const noopPort = await until('the no-op server to listen', () => /port (\d+)/.exec(said)?.[1]);

// The bodies differ in job id, org and delivery id only; Lua puts the id in, so the signature must be
// computed ahead: one line a delivery, `signature body`.
function deliveries(round: number): string {
  const file = path.join(folder, `round-${round}`);
  const template = JSON.parse(queued(['nimbus'], (payload) => {
    payload.workflow_job.steps = [];
    payload.repository.description = 'x'.repeat(Math.max(0, 7000 - JSON.stringify(payload).length));
  }));
  const lines: string[] = [];
  for (let i = 0; i < perRound; i++) {
    template.workflow_job.id = 7e12 + round * perRound + i;
    template.repository.owner.login = `org-${i % 50}`;
    template.repository.owner.id = 1000 + (i % 50);
    const body = JSON.stringify(template);
    lines.push(`${sign(nimbus.secret, body)} ${body}`);
    if (lines.length % 10_000 === 0) {
      writeFileSync(file, `${lines.join('\n')}\n`, { flag: 'a' });
      lines.length = 0;
    }
  }
  return file;
}

try {
  const ours: number[] = [], reference: number[] = [], ratios: number[] = [], p99: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const file = deliveries(round);
    const environment = { BODIES: file, RUN_ID: randomUUID().slice(0, 23) };
    const script = path.join(import.meta.dirname, 'deliveries.lua');
    const idle = wrk(`http://127.0.0.1:${noopPort}/webhooks/github`, script, connections, seconds, environment);
    const durable = wrk(`${nimbus.url}/webhooks/github`, script, connections, seconds, environment);
    if (durable.failed > 0) throw new Error(`${durable.failed} deliveries were refused`);
    ours.push(durable.perSecond);
    reference.push(idle.perSecond);
    ratios.push(durable.perSecond / idle.perSecond);
    p99.push(durable.p99Ms);
    rmSync(file);
  }
  report({
    name: 'webhook-intake', unit: 'deliveries/s', ours: median(ours), reference: median(reference),
    reference_name: 'no-op POST of the same bodies', ratio: median(ratios), aim: 0.5, better: 'higher', runs: rounds,
    also: { 'p99 at full load, ms': median(p99), 'least ratio': Math.min(...ratios) },
  });
} finally {
  noop.kill();
  await nimbus.stop();
  rmSync(folder, { recursive: true });
}
