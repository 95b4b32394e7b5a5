// Reads of one size: ours through the registry with a token checked at each request, nginx and (for
// large ones) docker-registry without. In turn, the client on core 1 when requests are small.
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Nimbus, until } from '../tests/flow/nimbus.ts';
import { digestOf, folder, pushTo, startNginx, startRegistry, stopAll } from './blob_peers.ts';
import { median, pin, report, wrk } from './report.ts';

export interface Reads {
  name: string;
  size: number;
  blobs: number;
  connections: number;
  seconds: number;
  aim: number;
  registry: boolean;
  onOneCore: boolean;
}

const rounds = 5;

const script = (paths: string[], token: string): string => `
local paths = {${paths.map((name) => `"${name}"`).join(',')}}
local at = 0
request = function()
  at = at % #paths + 1
  return wrk.format("GET", paths[at], {["Authorization"] = "Bearer ${token}"})
end`;

export async function measureReads(reads: Reads): Promise<void> {
  const files = path.join(folder, 'files');
  mkdirSync(files, { recursive: true });
  mkdirSync(path.join(folder, 'ours'));
  const server = await Nimbus.start({ data: path.join(folder, 'ours'), config: '[server]\nlog_level = "warn"\n[blob]\nfree_bytes_min = 0\n' });
  // The embedded engine's start takes both cores for a few seconds.
  await until('telemetry to be ready', async () => (await server.get('/readyz', { token: null })).json.parts.telemetry.status === 'ok');
  try {
    const nginx = await startNginx(files);
    const registry = reads.registry ? await startRegistry() : undefined;
    const digests: string[] = [];
    for (let i = 0; i < reads.blobs; i += 1) {
      const bytes = Buffer.alloc(reads.size, randomBytes(64 * 1024));
      bytes.writeUInt32LE(i);
      const digest = digestOf(bytes);
      await pushTo(Number(new URL(server.url).port), bytes, digest, { Authorization: `Bearer ${server.token}` });
      writeFileSync(path.join(files, digest.slice(7)), bytes);
      if (registry) await pushTo(registry.port, bytes, digest);
      digests.push(digest);
    }
    const lua = (name: string, text: string) => {
      const file = path.join(folder, `${name}.lua`);
      writeFileSync(file, text);
      return file;
    };
    const targets = [
      { name: 'ours', url: server.url, lua: lua('ours', script(digests.map((digest) => `/v2/bench/blob/blobs/${digest}`), server.token)) },
      { name: 'nginx', url: `http://127.0.0.1:${nginx.port}`, lua: lua('nginx', script(digests.map((digest) => `/${digest.slice(7)}`), '')) },
      ...(registry ? [{ name: 'docker-registry', url: `http://127.0.0.1:${registry.port}`, lua: lua('registry', script(digests.map((digest) => `/v2/bench/blob/blobs/${digest}`), '')) }] : []),
    ];
    if (reads.onOneCore) for (const pid of [server.pid, ...nginx.pids(), ...(registry ? [registry.pid] : [])]) pin(pid, 0);
    const seen = new Map<string, number[]>(targets.map(({ name }) => [name, []]));
    for (let round = 0; round < rounds; round += 1) {
      for (const target of targets) {
        const load = wrk(target.url, target.lua, reads.connections, reads.seconds, {}, reads.onOneCore ? '1' : '0,1');
        if (load.failed > 0) throw new Error(`${target.name} refused ${load.failed} requests`);
        seen.get(target.name)?.push(reads.onOneCore ? load.perSecond : load.bytesPerSecond / 2 ** 20);
      }
    }
    const rates = (name: string) => seen.get(name) ?? [];
    const best = targets.slice(1).reduce((a, b) => (median(rates(b.name)) > median(rates(a.name)) ? b : a));
    const ratios = rates('ours').map((rate, round) => rate / rates(best.name)[round]);
    report({
      name: reads.name, unit: reads.onOneCore ? 'requests/s' : 'MiB/s', ours: median(rates('ours')), reference: median(rates(best.name)),
      reference_name: `${best.name}, without authentication`, ratio: median(ratios), aim: reads.aim, better: 'higher', runs: rounds,
      also: { 'least ratio': Math.min(...ratios), ...Object.fromEntries(targets.slice(1).map(({ name }) => [name, median(rates(name))])) },
    });
  } finally {
    await stopAll(server);
  }
}
