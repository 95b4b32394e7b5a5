// Requests a second for a small blob and for /v2/, credentials checked at each, against Debian's
// docker-registry with its own kind of credentials. Each server on core 0, the client on core 1, in
// turn. The figure is the smaller of the two ratios.
import { createHash, randomBytes } from 'node:crypto';
import path from 'node:path';
import { Nimbus, until } from '../tests/flow/nimbus.ts';
import { DockerRegistry, pushBlob } from './docker_registry.ts';
import { median, pin, report, wrk } from './report.ts';

const rounds = 5;
const seconds = 3;
const connections = 64;
const bytes = randomBytes(4096);
const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const nimbus = await Nimbus.start({ config: '[server]\nlog_level = "warn"\n' });
// The embedded engine's start takes both cores for a few seconds.
await until('telemetry to be ready', async () => (await nimbus.get('/readyz', { token: null })).json.parts.telemetry.status === 'ok');
const peer = await DockerRegistry.start();
const open = await DockerRegistry.start({ authenticated: false });
try {
  const basic = `Basic ${Buffer.from(`u:${nimbus.token}`).toString('base64')}`;
  const servers = [
    { url: nimbus.url, authorization: basic, blob: await pushBlob(nimbus.url, 'acme/app', basic, bytes, digest) },
    { url: peer.url, authorization: peer.authorization, blob: await pushBlob(peer.url, 'acme/app', peer.authorization, bytes, digest) },
    { url: open.url, authorization: peer.authorization, blob: await pushBlob(open.url, 'acme/app', peer.authorization, bytes, digest) },
  ];
  for (const pid of [nimbus.pid, peer.pid, open.pid]) pin(pid, 0);
  const script = path.join(import.meta.dirname, 'get.lua');
  const measure = (server: (typeof servers)[0], target: string) => {
    const load = wrk(server.url + target, script, connections, seconds, { AUTHORIZATION: server.authorization });
    if (load.failed > 0) throw new Error(`${load.failed} requests of ${server.url}${target} failed`);
    return load.perSecond;
  };
  const seen = { blob: [[], [], []] as number[][], base: [[], [], []] as number[][] };
  for (let round = 0; round < rounds; round++) {
    for (const [index, server] of servers.entries()) {
      seen.blob[index].push(measure(server, server.blob));
      seen.base[index].push(measure(server, '/v2/'));
    }
  }
  const ratio = (values: number[][], index: number) => median(values[0].map((ours, round) => ours / values[index][round]));
  const smaller = ratio(seen.blob, 1) < ratio(seen.base, 1) ? seen.blob : seen.base;
  report({
    name: 'registry-requests', unit: 'requests/s', ours: median(smaller[0]), reference: median(smaller[1]),
    reference_name: 'docker-registry with htpasswd', ratio: ratio(smaller, 1), aim: 20, better: 'higher', runs: rounds,
    also: {
      'blob of 4 KiB, requests/s': median(seen.blob[0]), 'blob ratio': ratio(seen.blob, 1),
      '/v2/, requests/s': median(seen.base[0]), '/v2/ ratio': ratio(seen.base, 1),
      'blob ratio to docker-registry without any authentication': ratio(seen.blob, 2),
      '/v2/ ratio to docker-registry without any authentication': ratio(seen.base, 2),
    },
  });
} finally {
  await nimbus.stop();
  await peer.stop();
  await open.stop();
}
