// Finding text in a log of any size without holding up the page: some tens of thousands of lines are
// looked at per slice, and lines that arrive later are looked at when they do.

import { plainText } from './ansi.ts';
import type { LogBuffer } from './buffer.ts';

// More matches than this are not listed: the answer to such a search is a longer word.
export const MATCHES_MAX = 100_000;
const LINES_PER_SLICE = 20_000;

export class LogSearch {
  readonly needle: string; // lower case
  readonly matches: number[] = []; // line indices, rising
  #buffer: LogBuffer;
  #at = 0;

  constructor(buffer: LogBuffer, text: string) {
    this.#buffer = buffer;
    this.needle = text.toLowerCase();
  }

  // Looks at the next slice; false when there is nothing left to look at.
  step(): boolean {
    if (!this.needle) return false;
    const end = Math.min(this.#buffer.count, this.#at + LINES_PER_SLICE);
    for (; this.#at < end && this.matches.length < MATCHES_MAX; this.#at += 1) {
      const text = plainText(this.#buffer.text(this.#at)).toLowerCase();
      if (text.includes(this.needle)) this.matches.push(this.#at);
    }
    return this.#at < this.#buffer.count && this.matches.length < MATCHES_MAX;
  }

  // The position in `matches` of a line, or -1.
  indexOf(line: number): number {
    const at = this.nearest(line);
    return this.matches[at] === line ? at : -1;
  }

  // The position in `matches` of the first match at or after a line; 0 past the last one.
  nearest(line: number): number {
    let low = 0;
    let high = this.matches.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.matches[middle] as number) < line) low = middle + 1;
      else high = middle;
    }
    return low < this.matches.length ? low : 0;
  }
}
