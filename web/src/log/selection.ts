// `#L12` and `#L12-L20` in the page's address.

export interface Lines {
  from: number; // line numbers, both inclusive
  to: number;
}

export function parseLines(hash: string): Lines | null {
  const match = /^#L(\d{1,10})(?:-L(\d{1,10}))?$/.exec(hash);
  if (!match) return null;
  const one = Number(match[1]);
  const other = Number(match[2] ?? match[1]);
  if (one < 1 || other < 1) return null;
  return { from: Math.min(one, other), to: Math.max(one, other) };
}

export function linesHash({ from, to }: Lines): string {
  return from === to ? `#L${from}` : `#L${from}-L${to}`;
}
