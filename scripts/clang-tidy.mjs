// Runs clang-tidy over src/ for scripts/lint, JOBS (all processors) files at a time.
//
// A file that was clean is skipped until it, a header of the project that it includes, .clang-tidy,
// its compile command or clang-tidy itself changes: the digest of all these is kept in
// build/tidy/clean.json. A change of a system header is not seen; `rm build/tidy/clean.json` runs all.
// A finding in a header is shown once, however many files include it.
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const tidy = 'clang-tidy-19';
const buildDir = path.join(root, 'build/tidy');
const stampFile = path.join(buildDir, 'clean.json');
const jobs = Number(process.env.JOBS) || availableParallelism();
const progressEveryMs = 15_000;

const digestOf = (text) => createHash('sha256').update(text).digest('hex');

const headers = new Map(); // path: its own digest and what it includes
function readSource(file) {
  if (!headers.has(file)) {
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    const included = [...text.matchAll(/^#include "([^"]+)"/gm)].map(([, name]) => path.join(root, 'src', name));
    headers.set(file, { digest: digestOf(text), included });
  }
  return headers.get(file);
}

// Of the file and everything of the project that it includes.
function closureDigest(file) {
  const seen = new Set([file]);
  for (const each of seen) for (const next of readSource(each).included) seen.add(next);
  return digestOf([...seen].sort().map((each) => readSource(each).digest).join());
}

function runTidy(file) {
  return new Promise((resolve) => {
    const child = spawn(tidy, ['-p', buildDir, '--quiet', '--warnings-as-errors=*', file], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    let complaints = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (complaints += data));
    child.on('error', (error) => resolve({ clean: false, output: `${tidy}: ${error.message}` }));
    child.on('close', (code) => resolve({ clean: code === 0, output: output.trim() || complaints }));
  });
}

// One text for each finding: its line and the lines below that explain it.
function findingsIn(output) {
  return output.split(/\n(?=\/[^\n]*:\d+:\d+: (?:warning|error): )/);
}

const commands = new Map(
  JSON.parse(readFileSync(path.join(buildDir, 'compile_commands.json'), 'utf8')).map((each) => [each.file, each.command]),
);
const common = [readFileSync(path.join(root, '.clang-tidy'), 'utf8'), execFileSync(tidy, ['--version'], { encoding: 'utf8' })];
const sources = execFileSync('git', ['ls-files', 'src/*.cc'], { cwd: root, encoding: 'utf8' })
  .split('\n')
  .filter((file) => file && !file.endsWith('_test.cc'))
  .map((file) => path.join(root, file))
  .filter((file) => commands.has(file));

const clean = existsSync(stampFile) ? JSON.parse(readFileSync(stampFile, 'utf8')) : {};
const nameOf = (file) => path.relative(root, file);
const digests = new Map(
  sources.map((file) => [file, digestOf([...common, commands.get(file), closureDigest(file)].join('\n'))]),
);
const queue = sources.filter((file) => clean[nameOf(file)] !== digests.get(file));
const total = queue.length;
console.log(`  ${total} of ${sources.length} files to look at, ${sources.length - total} clean and unchanged`);

const shown = new Set();
const unclean = [];
let done = 0;
let lastProgress = Date.now();

function report(file, { clean: isClean, output }) {
  done += 1;
  if (isClean) {
    clean[nameOf(file)] = digests.get(file);
  } else {
    delete clean[nameOf(file)];
    unclean.push(nameOf(file));
    for (const finding of findingsIn(output)) {
      if (shown.has(finding)) continue;
      shown.add(finding);
      console.log(finding.replaceAll(`${root}/`, ''));
    }
  }
  // Kept after each file, so that an interrupted run is not lost.
  writeFileSync(stampFile, JSON.stringify(clean, null, 1));
  if (Date.now() - lastProgress < progressEveryMs) return;
  lastProgress = Date.now();
  console.log(`  ${done} of ${total} files, now ${path.dirname(nameOf(file))}`);
}

async function worker() {
  for (let file = queue.shift(); file; file = queue.shift()) report(file, await runTidy(file));
}
await Promise.all(Array.from({ length: jobs }, worker));
if (unclean.length > 0) {
  console.log(`  ${shown.size} findings in ${unclean.length} files`);
  process.exit(1);
}
