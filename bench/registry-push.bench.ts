// A 200 MB image of four layers pushed by skopeo, new bytes each time, durable before the answer,
// against Debian's docker-registry. Megabytes a second of the whole push, client included.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { Nimbus, until } from '../tests/flow/nimbus.ts';
import { DockerRegistry } from './docker_registry.ts';
import { median, report } from './report.ts';

const rounds = 5;
const layers = 4;
const layerBytes = 50_000_000;

const folder = mkdtempSync(path.join(tmpdir(), 'nimbus-bench-'));
const hex = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

/** An image as skopeo's `dir:` has it. Layers carry gzip's head, so that nobody compresses them. */
function image(name: string): string {
  const dir = path.join(folder, name);
  mkdirSync(dir);
  const describe = (bytes: Buffer, mediaType: string) => {
    writeFileSync(path.join(dir, hex(bytes)), bytes);
    return { mediaType, digest: `sha256:${hex(bytes)}`, size: bytes.length };
  };
  const contents = Array.from({ length: layers }, () => randomBytes(layerBytes));
  const described = contents.map((bytes) => describe(gzipSync(bytes, { level: 0 }), 'application/vnd.oci.image.layer.v1.tar+gzip'));
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: contents.map((bytes) => `sha256:${hex(bytes)}`) } }));
  writeFileSync(path.join(dir, 'manifest.json'), JSON.stringify({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.manifest.v1+json', config: describe(config, 'application/vnd.oci.image.config.v1+json'), layers: described }));
  writeFileSync(path.join(dir, 'version'), 'Directory Transport Version: 1.1\n');
  return dir;
}

const policy = path.join(folder, 'policy.json');
writeFileSync(policy, '{"default":[{"type":"insecureAcceptAnything"}]}');
function push(from: string, host: string, user: string, password: string): number {
  execFileSync('sync');
  const begun = process.hrtime.bigint();
  execFileSync('skopeo', ['--policy', policy, 'copy', '-q', '--dest-tls-verify=false', '--dest-creds', `${user}:${password}`, `dir:${from}`, `docker://${host}/acme/${path.basename(from)}:1`], { env: { ...process.env, HOME: folder }, stdio: ['ignore', 'ignore', 'inherit'] });
  const seconds = Number(process.hrtime.bigint() - begun) / 1e9;
  return (layers * layerBytes) / 1e6 / seconds;
}

const nimbus = await Nimbus.start({ config: '[server]\nlog_level = "warn"\n' });
// The embedded engine's start takes both cores for a few seconds.
await until('telemetry to be ready', async () => (await nimbus.get('/readyz', { token: null })).json.parts.telemetry.status === 'ok');
const peer = await DockerRegistry.start();
try {
  const ours: number[] = [], reference: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const one = image(`ours${round}`);
    const two = image(`peer${round}`);
    const turns = [
      () => ours.push(push(one, `127.0.0.1:${nimbus.port}`, 'u', nimbus.token)),
      () => reference.push(push(two, peer.host, DockerRegistry.user, DockerRegistry.password)),
    ];
    for (const turn of round % 2 ? turns.reverse() : turns) turn();
    rmSync(one, { recursive: true });
    rmSync(two, { recursive: true });
  }
  report({
    name: 'registry-push', unit: 'MB/s', ours: median(ours), reference: median(reference), reference_name: 'docker-registry',
    ratio: median(ours.map((value, round) => value / reference[round])), aim: 1.5, better: 'higher', runs: rounds,
  });
} finally {
  await nimbus.stop();
  await peer.stop();
  rmSync(folder, { recursive: true });
}
