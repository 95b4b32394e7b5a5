// Which visual rows a log has. Without wrapping each line is one row; with it, a line takes one row per
// `columns` cells. Every row has the same height, so a million of them need no measuring in the page.

import type { LogBuffer } from './buffer.ts';

// Without wrapping, a line shows this much; the rest is a click away.
export const LINE_CHARS_SHOWN = 4096;

export class LogLayout {
  readonly columns: number; // 0: no wrapping
  #buffer: LogBuffer;
  #ends = new Uint32Array(1024); // rows up to and including this line
  #known = 0;

  constructor(buffer: LogBuffer, columns: number) {
    this.#buffer = buffer;
    this.columns = columns;
  }

  // Takes in the lines that came since the last call.
  extend(): this {
    if (this.columns === 0) return this;
    const count = this.#buffer.count;
    if (count > this.#ends.length) {
      const ends = new Uint32Array(Math.max(count, this.#ends.length * 2));
      ends.set(this.#ends);
      this.#ends = ends;
    }
    for (let line = this.#known; line < count; line += 1) {
      const rows = Math.max(1, Math.ceil(this.#buffer.width(line) / this.columns));
      this.#ends[line] = this.rowOfLine(line) + rows;
    }
    this.#known = count;
    return this;
  }

  get rows(): number {
    return this.columns === 0 ? this.#buffer.count : this.rowOfLine(this.#known);
  }

  rowOfLine(line: number): number {
    if (this.columns === 0) return line;
    return line <= 0 ? 0 : (this.#ends[line - 1] as number);
  }

  // The line that a row shows, and the first of its characters there.
  lineOfRow(row: number): { line: number; from: number } {
    if (this.columns === 0) return { line: row, from: 0 };
    let low = 0;
    let high = this.#known - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ends[middle] as number) > row) high = middle;
      else low = middle + 1;
    }
    return { line: low, from: (row - this.rowOfLine(low)) * this.columns };
  }

  get charsPerRow(): number {
    return this.columns === 0 ? LINE_CHARS_SHOWN : this.columns;
  }
}
