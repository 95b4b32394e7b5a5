// What a hit costs with a million entries in its scope, against a thousand: the same program, two data
// directories, in turn. One core serves, the other asks.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { jobToken } from '../tests/flow/actions.ts';
import { Nimbus } from '../tests/flow/nimbus.ts';
import { median, pin, report, wrk } from './report.ts';

const rounds = 5;
const seconds = 3;
const few = 1_000;
const many = 1_000_000;
const version = 'a'.repeat(64);

// Rows like those of saves, all in one scope: the worst a lookup can meet. The bytes are one blob.
function fill(nimbus: Nimbus, entries: number): void {
  const database = new DatabaseSync(path.join(nimbus.data, 'nimbus.db'));
  const { digest, size } = database.prepare('SELECT digest, size FROM cache_entries LIMIT 1').get() as { digest: string; size: number };
  const insert = database.prepare(
    `INSERT INTO cache_entries (org, repo, kind, scope, version, key, digest, size, created_us, used_us, writer, writer_ref,
     writer_event, writer_trust) VALUES ('acme', 'app', 'actions', 'refs/heads/main', ?, ?, ?, ?, ?, ?, 'job-12',
     'refs/heads/main', 'push', 'branch')`,
  );
  const used = Date.now() * 1000;
  database.exec('BEGIN');
  for (let i = 0; i < entries; i++) {
    const key = `npm-linux-${`${(i * 7919) % entries}`.padStart(8, '0')}`;
    insert.run(version, key, digest, size, used, used);
  }
  database.exec('COMMIT');
  database.close();
}

async function prepare(entries: number): Promise<Nimbus> {
  const nimbus = await Nimbus.start({ config: '[server]\nlog_level = "warn"\n' });
  const put = await nimbus.request('PUT', '/cache/seed', { body: 'x'.repeat(1000), token: jobToken(nimbus), headers: { 'content-type': 'application/octet-stream' } });
  if (put.status !== 201) throw new Error(put.text);
  await nimbus.end();
  fill(nimbus, entries);
  await nimbus.boot();
  pin(nimbus.pid, 0);
  return nimbus;
}

const folder = mkdtempSync(path.join(tmpdir(), 'nimbus-bench-'));
const small = await prepare(few);
const large = await prepare(many);

// wrk's script: lookups by exact key, or by a prefix that a tenth of the keys have.
function script(nimbus: Nimbus, entries: number, exact: boolean): string {
  const file = path.join(folder, `${entries}-${exact}.lua`);
  const key = exact ? `string.format("npm-linux-%08d", math.random(0, ${entries - 1}))` : `"npm-linux-${'0'.repeat(8 - Math.log10(entries))}" .. math.random(0, 9)`;
  writeFileSync(file, `
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer ${jobToken(nimbus, { seconds: 3600 })}"
request = function()
  return wrk.format(nil, "/twirp/github.actions.results.api.v1.CacheService/GetCacheEntryDownloadURL", nil, '{"key":"' .. ${key} .. '","version":"${version}"}')
end
`);
  return file;
}

function perHit(nimbus: Nimbus, entries: number, exact: boolean): number {
  const load = wrk(nimbus.url, script(nimbus, entries, exact), 16, seconds, {});
  if (load.failed > 0) throw new Error(`${load.failed} lookups failed`);
  return 1e6 / load.perSecond;
}

try {
  const ours: number[] = [], reference: number[] = [], ratios: number[] = [], prefixes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const thousand = perHit(small, few, true);
    const million = perHit(large, many, true);
    ours.push(million);
    reference.push(thousand);
    ratios.push(million / thousand);
    prefixes.push(perHit(large, many, false) / perHit(small, few, false));
  }
  report({
    name: 'cache-at-scale',
    unit: 'us a hit',
    ours: median(ours),
    reference: median(reference),
    reference_name: 'with 1,000 entries',
    ratio: median(ratios),
    aim: 1.3,
    better: 'lower',
    runs: rounds,
    also: { 'by prefix, against 1,000 entries': median(prefixes) },
  });
} finally {
  await small.stop();
  await large.stop();
  rmSync(folder, { recursive: true });
}
