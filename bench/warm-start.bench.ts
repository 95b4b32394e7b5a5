// From the webhook to the job's first line at a follower, with a VM that waits; the cold boot beside
// it, and a bare QEMU start of the same kernel beside that.
import { spawn } from 'node:child_process';
import http from 'node:http';
import path from 'node:path';
import { Nimbus, queued, root, until } from '../tests/flow/nimbus.ts';
import { median, quantile, report } from './report.ts';

const warmRuns = 10;
const coldRuns = 5;
const config = (warm: number) => `[server]\nlog_level = "warn"\n[agent]\nslots = 1\nwarm = ${warm}\n[limits]\njobs_per_minute = 1000000\n[profiles.nimbus]\nimage = "nimbus/base"\nentry = ["echo", "first"]\ncpus = 1\nmemory_mb = 512\n`;

/** Milliseconds from `from` until the job's first line on standard output reaches a follower. */
function firstLine(nimbus: Nimbus, job: number, from: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.get(`${nimbus.url}/api/v1/jobs/${job}/logs?follow=1`, { headers: { authorization: `Bearer ${nimbus.token}` } }, (response) => {
      let text = '';
      response.on('data', (data) => {
        text += data;
        if (!text.includes('"stdout"')) return;
        resolve(performance.now() - from);
        request.destroy();
      });
      response.on('end', () => reject(new Error(`the log ended without a line: ${text}`)));
    });
    request.on('error', (error) => reject(error));
  });
}

async function measure(nimbus: Nimbus, warm: number): Promise<number> {
  await until('the slot to be free again', async () => {
    const [agent] = (await nimbus.get('/api/v1/agents')).json.items;
    return agent.slots_free === 1 && agent.warm === warm;
  }, 180);
  const body = queued();
  const from = performance.now();
  const answer = await nimbus.deliver(body);
  const elapsed = await firstLine(nimbus, answer.json.job, from);
  await nimbus.finished(answer.json.job);
  return elapsed;
}

async function series(warm: number, runs: number): Promise<number[]> {
  const nimbus = await Nimbus.start({ agent: true, config: config(warm) });
  try {
    await measure(nimbus, warm);
    const times: number[] = [];
    for (let run = 0; run < runs; run++) times.push(await measure(nimbus, warm));
    return times;
  } finally {
    await nimbus.stop();
  }
}

/** Bare QEMU, the same kernel and initramfs without a disk or network, until PID 1 says its first word. */
function bareBoot(): Promise<number> {
  const guest = path.join(root, 'build/guest');
  const from = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn('sh', [path.join(import.meta.dirname, 'bare-qemu'), guest], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.on('data', (data) => {
      said += data;
      if (!/nimbus-guest/.test(said)) return;
      resolve(performance.now() - from);
      child.kill('SIGKILL');
    });
    child.on('exit', () => reject(new Error(`QEMU ended early: ${said.slice(-500)}`)));
  });
}

const bare: number[] = [];
for (let run = 0; run < coldRuns; run++) bare.push(await bareBoot());
const cold = await series(0, coldRuns);
const warm = await series(1, warmRuns);
report({
  name: 'warm-start', unit: 'ms', ours: median(warm), reference: 150, reference_name: 'bound on p50', ratio: median(warm) / 150,
  aim: 1, better: 'lower', runs: warmRuns,
  also: { 'p99, ms': quantile(warm, 0.99), 'cold start, ms': median(cold), 'bare QEMU to PID 1, ms': median(bare), 'cold start / bare QEMU': median(cold) / median(bare) },
});
