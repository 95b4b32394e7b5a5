// Runs every test and ends with one line: `N passed, N failed[, N skipped]`.
//
//   node tests/run.mjs                     all: C++ unit tests, then the suites in TypeScript
//   node tests/run.mjs --unit DIR          only the C++ test programs in DIR
//   node tests/run.mjs --only PATTERN      only programs and files whose path matches
//   node tests/run.mjs --once              a failure is one, even if a second run would pass
//
// Unit test programs run side by side; what boots microVMs or browsers runs one after another, so that
// slow machines do not turn load into failures. What failed runs once more, and both runs are printed:
// a test that fails now and then is seen, and does not cost the run.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const args = process.argv.slice(2);
const option = (name) => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined);
const unitDir = path.resolve(option('--unit') ?? path.join(root, 'build/release/tests'));
const only = option('--only');
const unitOnly = args.includes('--unit');
const once = args.includes('--once');
const programLimitMs = 15 * 60_000;

const totals = { passed: 0, failed: 0, skipped: 0 };

function run(command, commandArgs, cwd) {
  return new Promise((resolve) => {
    const started = Date.now();
    const child = spawn(command, commandArgs, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => (output += data));
    child.stderr.on('data', (data) => (output += data));
    const timer = setTimeout(() => child.kill('SIGKILL'), programLimitMs);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, output, seconds: (Date.now() - started) / 1000 });
    });
  });
}

// A program that died before its summary counts as one failure.
function countDoctest({ code, output }) {
  const cases = /test cases:\s*\d+\s*\|\s*(\d+) passed\s*\|\s*(\d+) failed\s*\|\s*(\d+) skipped/.exec(output);
  const skips = (output.match(/^SKIPPED: /gm) ?? []).length;
  if (!cases) return { passed: 0, failed: 1, skipped: 0 };
  const failed = Number(cases[2]);
  return { passed: Number(cases[1]) - skips, failed: failed || (code === 0 ? 0 : 1), skipped: skips };
}

function countNodeTest({ code, output }) {
  const number = (name) => Number(new RegExp(`^# ${name} (\\d+)`, 'm').exec(output)?.[1] ?? 0);
  const failed = number('fail') + number('cancelled');
  return { passed: number('pass'), failed: failed || (code === 0 ? 0 : 1), skipped: number('skipped') };
}

/** Runs a program, once more when it failed, and counts what came of it. */
async function settle(name, count, ...program) {
  let result = await run(...program);
  if (count(result).failed && !once) {
    console.log(`again  ${name}, which failed once:\n${result.output}`);
    result = await run(...program);
  }
  report(name, result, count(result));
}

function report(name, result, count) {
  for (const key of Object.keys(totals)) totals[key] += count[key];
  const verdict = count.failed ? 'FAILED' : 'ok';
  const skipped = count.skipped ? `, ${count.skipped} skipped` : '';
  console.log(`${verdict.padEnd(6)} ${name} (${count.passed} passed${skipped}, ${result.seconds.toFixed(1)} s)`);
  if (count.failed) console.log(result.output);
  for (const reason of result.output.match(/^(SKIPPED: .*|.*# SKIP .*)$/gm) ?? []) console.log(`       ${reason.trim()}`);
}

function unitPrograms() {
  if (!existsSync(unitDir)) throw new Error(`no test programs in ${unitDir}: build first (make build)`);
  return readdirSync(unitDir)
    .filter((name) => name.endsWith('_test'))
    .map((name) => path.join(unitDir, name))
    .filter((file) => statSync(file).isFile() && statSync(file).mode & 0o111);
}

function suites() {
  const folders = ['images/eval2otel', 'examples/eval-suite', 'web', 'tests/flow', 'tests/browser'];
  return folders.filter((folder) => existsSync(path.join(root, folder, 'package.json')) || existsSync(path.join(root, folder)))
    .map((folder) => ({ folder, files: testFiles(path.join(root, folder)) }))
    .filter(({ files }) => files.length > 0);
}

function testFiles(folder) {
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((file) => /\.test\.(ts|mts|mjs|js)$/.test(file) && !file.includes('node_modules'))
    .map((file) => path.join(folder, file))
    .sort();
}

const wanted = (name) => !only || name.includes(only);

// An emulated machine that gets no processor for seconds on end may stand still for good.
const bootsMachines = (file) => ['agent_test', 'vm_test'].includes(path.basename(file));

async function runUnits() {
  const programs = unitPrograms().filter(wanted);
  const queue = programs.filter((file) => !bootsMachines(file));
  const worker = async () => {
    for (let file = queue.shift(); file; file = queue.shift()) await settle(path.basename(file), countDoctest, file, [], root);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  for (const file of programs.filter(bootsMachines)) await settle(path.basename(file), countDoctest, file, [], root);
}

async function runSuites() {
  for (const { folder, files } of suites()) {
    for (const file of files.filter(wanted)) {
      await settle(path.relative(root, file), countNodeTest, process.execPath, ['--test', '--test-reporter=tap', file], path.join(root, folder));
    }
  }
}

await runUnits();
if (!unitOnly) await runSuites();
const skipped = totals.skipped ? `, ${totals.skipped} skipped` : '';
console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
process.exit(totals.failed || totals.passed === 0 ? 1 : 0);
