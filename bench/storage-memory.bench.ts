// Resident memory over rest while 50 clients fetch 1 GiB each, and while 50 push 1 GiB each (as layers
// of 64 MiB, the same in each repository, so that the medium has room); the greater counts.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Nimbus, until } from '../tests/flow/nimbus.ts';
import { digestOf, folder, pushTo, stopAll } from './blob_peers.ts';
import { report } from './report.ts';

const clients = 50;
const whole = 2 ** 30;
const layer = 64 * 2 ** 20;
const bound = 64;

const fetchWhole = 'curl -sf -H @"$AUTHORIZATION" -o /dev/null "$URL/v2/bench/whole/blobs/$WHOLE"';
const pushLayers = `
for _ in $(seq "$LAYERS"); do
  place=$(curl -sf -H @"$AUTHORIZATION" -X POST -o /dev/null -w '%header{location}' "$URL/v2/bench/client-$CLIENT/blobs/uploads/")
  case $place in /*) place=$URL$place ;; esac
  case $place in *\\?*) place=$place\\& ;; *) place=$place? ;; esac
  curl -sf -H @"$AUTHORIZATION" -T "$LAYER_FILE" -o /dev/null "\${place}digest=$LAYER"
done`;

const status = (pid: number, field: string): number =>
  Number(new RegExp(`${field}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

async function allRun(script: string, environment: Record<string, string>): Promise<void> {
  await Promise.all(Array.from({ length: clients }, (_, client) => new Promise<void>((resolve, reject) => {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script], { stdio: 'inherit', env: { ...process.env, ...environment, CLIENT: String(client) } });
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`client ${client} ended with ${code}`))));
  })));
}

/** MiB that the process had at most while the clients ran. */
async function peakDuring(pid: number, run: () => Promise<void>): Promise<number> {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
  await run();
  return status(pid, 'VmHWM');
}

mkdirSync(path.join(folder, 'ours'));
const server = await Nimbus.start({ data: path.join(folder, 'ours'), config: '[server]\nlog_level = "warn"\n[blob]\nfree_bytes_min = 0\n' });
try {
  await until('telemetry to be ready', async () => (await server.get('/readyz', { token: null })).json.parts.telemetry.status === 'ok');
  const rest = status(server.pid, 'VmRSS');
  const bytes = Buffer.alloc(whole, randomBytes(64 * 1024));
  const part = bytes.subarray(0, layer);
  const names = { authorization: path.join(folder, 'authorization'), layer: path.join(folder, 'layer') };
  writeFileSync(names.authorization, `Authorization: Bearer ${server.token}\n`, { mode: 0o600 });
  writeFileSync(names.layer, part);
  const environment = { URL: server.url, AUTHORIZATION: names.authorization, WHOLE: digestOf(bytes), LAYER: digestOf(part), LAYER_FILE: names.layer, LAYERS: String(whole / layer) };
  const port = Number(new URL(server.url).port);
  const headers = { Authorization: `Bearer ${server.token}` };
  await pushTo(port, bytes, environment.WHOLE, headers, 'bench/whole');
  const fetching = await peakDuring(server.pid, () => allRun(fetchWhole, environment));
  const pushing = await peakDuring(server.pid, () => allRun(pushLayers, environment));
  const over = Math.max(fetching, pushing) - rest;
  report({
    name: 'storage-memory', unit: 'MiB over rest', ours: over, reference: bound, reference_name: 'bound', ratio: over / bound,
    aim: 1, better: 'lower', runs: 1, also: { 'at rest, MiB': rest, 'at most while 50 fetch, MiB': fetching, 'at most while 50 push, MiB': pushing },
  });
} finally {
  await stopAll(server);
}
