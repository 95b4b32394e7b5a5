// The first page must load fast from a slow line: what index.html itself loads stays within the bound.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const FIRST_LOAD_KB_MAX = 150;
const dist = new URL('../dist/', import.meta.url);
const html = readFileSync(new URL('index.html', dist), 'utf8');
const scripts = [...html.matchAll(/(?:src|href)="\/(assets\/[^"]+\.js)"/g)].map(
  (match) => match[1],
);
const bytes = scripts.reduce(
  (sum, name) => sum + gzipSync(readFileSync(new URL(name, dist))).length,
  0,
);
const kilobytes = bytes / 1000;
process.stdout.write(`web: ${kilobytes.toFixed(1)} kB of JavaScript (gzip) for the first page\n`);
if (scripts.length === 0 || kilobytes > FIRST_LOAD_KB_MAX) {
  process.stderr.write(
    `web: the first page may load at most ${FIRST_LOAD_KB_MAX} kB of JavaScript\n`,
  );
  process.exitCode = 1;
}
