// What every benchmark shares: repeated interleaved rounds, medians, and the file it leaves.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import path from 'node:path';
import { root } from '../tests/flow/nimbus.ts';

export interface Figure {
  name: string;
  unit: string;
  ours: number;
  reference: number;
  reference_name: string;
  ratio: number;
  aim: number;
  better: 'higher' | 'lower';
  runs: number;
  /** What else was seen in the same run. */
  also?: Record<string, number | string>;
}

export const median = (values: number[]): number => quantile(values, 0.5);

export function quantile(values: number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

/** Prints the figure, says whether it meets its aim, and writes build/bench/NAME.json. */
export function report(figure: Figure): void {
  const machine = `${cpus().length} x ${cpus()[0].model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${execFileSync('uname', ['-r']).toString().trim()}`;
  const folder = path.join(root, 'build/bench');
  mkdirSync(folder, { recursive: true });
  writeFileSync(path.join(folder, `${figure.name}.json`), `${JSON.stringify({ ...figure, machine }, null, 2)}\n`);
  const met = figure.better === 'higher' ? figure.ratio >= figure.aim : figure.ratio <= figure.aim;
  const round = (value: number) => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
  console.log(`${figure.name}: ${round(figure.ours)} ${figure.unit}; ${figure.reference_name}: ${round(figure.reference)} ${figure.unit}; ratio ${figure.ratio.toFixed(2)} (aim ${figure.better === 'higher' ? '>=' : '<='} ${figure.aim}: ${met ? 'met' : 'MISSED'})`);
  for (const [key, value] of Object.entries(figure.also ?? {})) console.log(`    ${key}: ${typeof value === 'number' ? round(value) : value}`);
}

/** Moves a process and its threads to one core, so that client and server do not share it. */
export const pin = (pid: number, core: number): void => {
  spawnSync('taskset', ['-a', '-p', '-c', `${core}`, `${pid}`], { stdio: 'ignore' });
};

export interface Load {
  perSecond: number;
  bytesPerSecond: number;
  p99Ms: number;
  failed: number;
}

/** Drives a URL by wrk from core 1 (or the cores named) for `seconds`; `script` is a Lua file, `environment` its input. */
export function wrk(url: string, script: string, connections: number, seconds: number, environment: Record<string, string>, cores = '1'): Load {
  const result = spawnSync('taskset', ['-c', cores, 'wrk', '-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', script, url], { env: { ...process.env, ...environment }, encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`wrk: ${result.stderr}${result.stdout}`);
  const number = (pattern: RegExp) => Number(pattern.exec(result.stdout)?.[1] ?? 0);
  const [, p99 = '0', unit = 'ms'] = /99%\s+([\d.]+)(us|ms|s)/.exec(result.stdout) ?? [];
  const [, transfer = '0', prefix = ''] = /Transfer\/sec:\s+([\d.]+)([KMGT]?)B/.exec(result.stdout) ?? [];
  return {
    bytesPerSecond: Number(transfer) * 1024 ** ['', 'K', 'M', 'G', 'T'].indexOf(prefix),
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p99Ms: Number(p99) * { us: 0.001, ms: 1, s: 1000 }[unit as 'us' | 'ms' | 's'],
    failed: number(/Non-2xx or 3xx responses: (\d+)/),
  };
}
