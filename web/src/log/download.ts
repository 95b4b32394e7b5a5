import type { LogBuffer } from './buffer.ts';

const LINES_PER_PIECE = 10_000;

// Saves the log as a text file, escape sequences as the job wrote them. In pieces, because one string of
// a million lines is more than some engines hold.
export function saveLog(buffer: LogBuffer, name: string): void {
  const pieces: string[] = [];
  for (let first = 0; first < buffer.count; first += LINES_PER_PIECE) {
    pieces.push(`${buffer.slice(first, first + LINES_PER_PIECE)}\n`);
  }
  const url = URL.createObjectURL(new Blob(pieces, { type: 'text/plain;charset=utf-8' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken hold of the bytes once the click is handled.
  setTimeout(() => URL.revokeObjectURL(url), 0);
}
