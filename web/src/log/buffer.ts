// The lines of one execution's log, held column by column so that a million of them stay cheap.
// Lines arrive in order of seq; a repeated one is ignored, and a jump leaves a visible gap row.

import { plainText } from './ansi.ts';

export type Stream = 'stdout' | 'stderr' | 'system' | 'gap';

export interface WireLine {
  ts: string;
  seq: number;
  stream: string;
  text: string;
  partial?: boolean;
}

const STREAMS: readonly Stream[] = ['stdout', 'stderr', 'system', 'gap'];
const GAP = 3;

function streamCode(name: string): number {
  return name === 'stdout' ? 0 : name === 'stderr' ? 1 : 2;
}

export class LogBuffer {
  #texts: string[] = [];
  #times = new Float64Array(1024); // milliseconds since the epoch
  #seqs = new Uint32Array(1024);
  #streams = new Uint8Array(1024);
  #widths = new Uint32Array(1024);
  #lastSeq = 0;

  get count(): number {
    return this.#texts.length;
  }
  get lastSeq(): number {
    return this.#lastSeq;
  }
  text(index: number): string {
    return this.#texts[index] ?? '';
  }
  time(index: number): number {
    return this.#times[index] ?? 0;
  }
  // The number shown beside the line. A gap row has that of the first missing line.
  seq(index: number): number {
    return this.#seqs[index] ?? 0;
  }
  stream(index: number): Stream {
    return STREAMS[this.#streams[index] ?? 0] as Stream;
  }

  // How many characters of the line are shown.
  width(index: number): number {
    return this.#widths[index] ?? 0;
  }

  append(line: WireLine): void {
    if (!(line.seq > this.#lastSeq)) return;
    const missing = line.seq - this.#lastSeq - 1;
    if (missing > 0) {
      const lines = missing === 1 ? '1 line is' : `${missing.toLocaleString('en')} lines are`;
      this.#push(this.#lastSeq + 1, Number.NaN, GAP, `${lines} missing here`);
    }
    this.#push(line.seq, Date.parse(line.ts), streamCode(line.stream), String(line.text));
    this.#lastSeq = line.seq;
  }

  // The row with this line number; the nearest one before it when there is none, -1 in an empty log.
  indexOfSeq(seq: number): number {
    let low = 0;
    let high = this.count - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (this.seq(middle) <= seq) low = middle + 1;
      else high = middle - 1;
    }
    return high;
  }

  // Rows as plain text for the clipboard and for files, escape sequences and all.
  slice(first: number, end: number): string {
    return this.#texts.slice(first, end).join('\n');
  }

  #push(seq: number, time: number, stream: number, text: string): void {
    const index = this.#texts.length;
    if (index === this.#seqs.length) this.#grow();
    this.#texts.push(text);
    this.#times[index] = time;
    this.#seqs[index] = seq;
    this.#streams[index] = stream;
    this.#widths[index] = plainText(text).length;
  }

  #grow(): void {
    this.#times = doubled(this.#times);
    this.#seqs = doubled(this.#seqs);
    this.#streams = doubled(this.#streams);
    this.#widths = doubled(this.#widths);
  }
}

function doubled<T extends Float64Array | Uint32Array | Uint8Array>(array: T): T {
  const larger = new (array.constructor as new (length: number) => T)(array.length * 2);
  larger.set(array);
  return larger;
}
