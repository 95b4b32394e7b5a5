// Runs the benchmarks one after another: `node bench/run.mjs [NAME…]`. The machine should be quiet.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';

const folder = import.meta.dirname;
const known = readdirSync(folder).filter((file) => file.endsWith('.bench.ts')).map((file) => file.slice(0, -'.bench.ts'.length));
const wanted = process.argv.slice(2);
for (const name of wanted) {
  if (!known.includes(name)) {
    console.error(`bench: no benchmark '${name}'; there are: ${known.join(', ')}`);
    process.exit(2);
  }
}
let failed = 0;
for (const name of wanted.length ? wanted : known) {
  // What a build has just written would otherwise go to the disk during the measurement.
  spawnSync('sync');
  const result = spawnSync(process.execPath, [path.join(folder, `${name}.bench.ts`)], { stdio: 'inherit' });
  if (result.status !== 0) failed += 1;
}
process.exit(failed ? 1 : 0);
