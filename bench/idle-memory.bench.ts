// Resident memory of `nimbus up --no-agent` at rest, without the ClickHouse process, and the time from
// start to ready.
import { readFileSync } from 'node:fs';
import { Nimbus, until } from '../tests/flow/nimbus.ts';
import { median, report } from './report.ts';

const runs = 5;
const memory: number[] = [], ready: number[] = [];
const residentMiB = (pid: number) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
for (let run = 0; run < runs; run++) {
  const from = performance.now();
  const nimbus = await Nimbus.start();
  ready.push(performance.now() - from);
  try {
    await until('every part to be ready', async () => (await nimbus.get('/readyz')).json.status === 'ready');
    memory.push(residentMiB(nimbus.pid));
  } finally {
    await nimbus.stop();
  }
}
report({
  name: 'idle-memory', unit: 'MiB', ours: median(memory), reference: 32, reference_name: 'bound', ratio: median(memory) / 32,
  aim: 1, better: 'lower', runs, also: { 'start to ready, ms (bound 1000)': median(ready) },
});
