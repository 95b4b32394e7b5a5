// Numbers and times as people read them. Pure; the clock is passed in.

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;

// 40 ms · 1.4 s · 12 s · 3 m 05 s · 2 h 10 m · 3 d 4 h
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return '–';
  if (seconds < 1) return `${Math.floor(seconds * 1000)} ms`;
  if (seconds < 10) return `${(Math.floor(seconds * 10) / 10).toFixed(1)} s`;
  const whole = Math.floor(seconds);
  const two = (value: number) => String(value).padStart(2, '0');
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} m ${two(whole % MINUTE)} s`;
  if (whole < DAY)
    return `${Math.floor(whole / HOUR)} h ${two(Math.floor((whole % HOUR) / MINUTE))} m`;
  return `${Math.floor(whole / DAY)} d ${Math.floor((whole % DAY) / HOUR)} h`;
}

// just now · 12 s ago · 3 m ago · 2 h ago · 3 d ago, then the date
export function ago(at: string, nowMs: number): string {
  const seconds = Math.floor((nowMs - Date.parse(at)) / 1000);
  if (!Number.isFinite(seconds)) return '–';
  if (seconds < 2) return 'just now';
  if (seconds < MINUTE) return `${seconds} s ago`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} m ago`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ago`;
  if (seconds < 14 * DAY) return `${Math.floor(seconds / DAY)} d ago`;
  return at.slice(0, 10);
}

export const secondsBetween = (from: string, toMs: number): number =>
  (toMs - Date.parse(from)) / 1000;

export function count(value: number): string {
  return value.toLocaleString('en');
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

// 2 GiB · 512 MiB
export function memory(mebibytes: number): string {
  return mebibytes >= 1024 && mebibytes % 512 === 0
    ? `${mebibytes / 1024} GiB`
    : `${count(mebibytes)} MiB`;
}

// 0 B · 512 B · 1.4 KiB · 12 MiB · 3.2 GiB
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  let left = value;
  // 1023.6 KiB would be shown as 1024 KiB.
  while (left >= 1023.5 && unit < units.length - 1) {
    left /= 1024;
    unit += 1;
  }
  const digits = unit > 0 && left < 9.95 ? 1 : 0;
  return `${left.toFixed(digits).replace(/\.0$/, '')} ${units[unit]}`;
}

// sha256:0123456789ab…
export function shortDigest(digest: string): string {
  const colon = digest.indexOf(':') + 1;
  return digest.length > colon + 12 ? `${digest.slice(0, colon + 12)}…` : digest;
}

// refs/heads/main → main, refs/pull/12/merge → pull/12, refs/nimbus/shared → shared
export function shortRef(ref: string): string {
  return ref
    .replace(/^refs\/(heads|tags|nimbus)\//, '')
    .replace(/^refs\/(pull\/\d+)\/(merge|head)$/, '$1');
}

// A command as a shell would take it.
export function commandLine(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ');
}

export const stateName = (state: string): string => state.replace('_', ' ');
