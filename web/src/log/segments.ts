// Cutting a styled line to what one row shows, and marking what a search found in it. Pure.

import type { Segment } from './ansi.ts';

export interface Piece extends Segment {
  found: boolean;
}

// Characters [from, from + length) of the line. A pair of surrogates is never torn: it belongs to the
// row where its first half is.
export function cut<T extends Segment>(segments: readonly T[], from: number, length: number): T[] {
  const result: T[] = [];
  let at = 0;
  for (const segment of segments) {
    const { text } = segment;
    const start = wholePair(text, Math.max(0, from - at));
    const end = wholePair(text, Math.min(text.length, from + length - at));
    if (start < end) result.push({ ...segment, text: text.slice(start, end) });
    at += text.length;
    if (at >= from + length) break;
  }
  return result;
}

function wholePair(text: string, at: number): number {
  const inside = at > 0 && at < text.length && isLow(text.charCodeAt(at));
  return inside && isHigh(text.charCodeAt(at - 1)) ? at + 1 : at;
}

const isHigh = (code: number): boolean => code >= 0xd800 && code < 0xdc00;
const isLow = (code: number): boolean => code >= 0xdc00 && code < 0xe000;

// Splits at the places where `needle` (lower case, may be empty) occurs, across style changes too.
export function mark(segments: readonly Segment[], needle: string): Piece[] {
  if (!needle) return segments.map((segment) => ({ ...segment, found: false }));
  const text = segments
    .map((segment) => segment.text)
    .join('')
    .toLowerCase();
  const pieces: Piece[] = [];
  let at = 0;
  let hit = text.indexOf(needle);
  for (const segment of segments) {
    const end = at + segment.text.length;
    let from = at;
    while (from < end) {
      const inside = hit >= 0 && from >= hit;
      const until = hit < 0 ? end : Math.min(end, inside ? hit + needle.length : hit);
      const piece = segment.text.slice(from - at, until - at);
      if (piece) pieces.push({ text: piece, style: segment.style, found: inside });
      from = until;
      if (inside && from === hit + needle.length) hit = text.indexOf(needle, from);
    }
    at = end;
  }
  return pieces;
}
