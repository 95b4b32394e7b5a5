// Terminal output made inert. Of ECMA-48 only SGR (colour, weight, underline) has an effect; every other
// sequence and control character is dropped, and characters that reorder text are shown as U+FFFD.
// What comes out is plain text with attributes: no markup is ever built from a job's bytes.

// A colour is an index of the 16-colour palette, or a CSS colour computed from numbers alone.
export type Color = number | string | null;

export interface Style {
  fg: Color;
  bg: Color;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
  strike: boolean;
  inverse: boolean;
}

export interface Segment {
  text: string;
  style: Style | null; // null: the default
}

const PLAIN: Style = {
  fg: null,
  bg: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  strike: false,
  inverse: false,
};

const TAB_COLUMNS = 8;

// Anything in a line that is not shown as it stands.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject here
const SPECIAL = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;

// ESC-introduced sequences, longest kinds first: strings (OSC, DCS, SOS, PM, APC) up to their
// terminator or, unterminated, to the end; CSI; then two-character escapes. Linear: no nested repeats.
const SEQUENCE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject here
  /(?:\u001b[\]PX^_]|[\u009d\u0090\u0098\u009e\u009f])[^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c|$)?|(?:\u001b\[|\u009b)([0-?]*)[ -/]*([@-~]?)|\u001b[ -/]*[0-~]?/y;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are the subject here
const NEXT_SPECIAL = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

export function parseAnsi(raw: string): Segment[] {
  if (!SPECIAL.test(raw)) return [{ text: raw, style: null }];
  const line = afterLastReturn(raw);
  const segments: Segment[] = [];
  let style: Style | null = null;
  let text = '';
  let column = 0;
  const flush = () => {
    if (text) segments.push({ text, style });
    text = '';
  };
  let at = 0;
  while (at < line.length) {
    NEXT_SPECIAL.lastIndex = at;
    const special = NEXT_SPECIAL.exec(line)?.index ?? line.length;
    text += line.slice(at, special);
    column += special - at;
    at = special;
    if (at >= line.length) break;
    const code = line.charCodeAt(at);
    if (code === 0x1b || code >= 0x90) {
      SEQUENCE.lastIndex = at;
      const match = SEQUENCE.exec(line);
      if (match) {
        at += match[0].length;
        if (match[2] === 'm' && !/[<-?]/.test(match[1] ?? '')) {
          flush();
          style = applySgr(style, match[1] ?? '');
        }
        continue;
      }
    }
    if (code === 0x09) {
      const spaces = TAB_COLUMNS - (column % TAB_COLUMNS);
      text += ' '.repeat(spaces);
      column += spaces;
    } else if (code > 0xff) {
      text += '\ufffd';
      column += 1;
    }
    at += 1;
  }
  flush();
  return segments;
}

// What a reader sees of the line, and what search looks at.
export function plainText(raw: string): string {
  if (!SPECIAL.test(raw)) return raw;
  return parseAnsi(raw)
    .map((segment) => segment.text)
    .join('');
}

// A progress bar rewrites its line; a terminal shows the last writing that left something.
function afterLastReturn(line: string): string {
  if (!line.includes('\r')) return line;
  const writings = line.split('\r');
  return writings.findLast((writing) => writing !== '') ?? '';
}

function applySgr(before: Style | null, parameters: string): Style | null {
  const style: Style = { ...(before ?? PLAIN) };
  const codes = parameters
    .split(/[;:]/)
    .slice(0, 64)
    .map((code) => Number(code || 0));
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at] as number;
    if (code === 0) Object.assign(style, PLAIN);
    else if (code === 38 || code === 48) {
      const [color, used] = extendedColor(codes, at + 1);
      if (code === 38) style.fg = color ?? style.fg;
      else style.bg = color ?? style.bg;
      at += used;
    } else applyCode(style, code);
  }
  return isPlain(style) ? null : style;
}

function applyCode(style: Style, code: number): void {
  if (code === 1) style.bold = true;
  else if (code === 2) style.dim = true;
  else if (code === 3) style.italic = true;
  else if (code === 4) style.underline = true;
  else if (code === 7) style.inverse = true;
  else if (code === 9) style.strike = true;
  else if (code === 22) {
    style.bold = false;
    style.dim = false;
  } else if (code === 23) style.italic = false;
  else if (code === 24) style.underline = false;
  else if (code === 27) style.inverse = false;
  else if (code === 29) style.strike = false;
  else if (code >= 30 && code <= 37) style.fg = code - 30;
  else if (code === 39) style.fg = null;
  else if (code >= 40 && code <= 47) style.bg = code - 40;
  else if (code === 49) style.bg = null;
  else if (code >= 90 && code <= 97) style.fg = code - 82;
  else if (code >= 100 && code <= 107) style.bg = code - 92;
}

// `5;N` or `2;R;G;B` after 38 or 48; also how many codes it took.
function extendedColor(codes: number[], at: number): [Color, number] {
  if (codes[at] === 5) return [indexedColor(codes[at + 1] ?? 0), 2];
  if (codes[at] === 2) {
    const [r, g, b] = [codes[at + 1], codes[at + 2], codes[at + 3]].map(toByte);
    return [`rgb(${r} ${g} ${b})`, 4];
  }
  return [null, 0];
}

const toByte = (value: number | undefined): number =>
  Math.max(0, Math.min(255, Math.trunc(Number.isFinite(value) ? (value as number) : 0)));

function indexedColor(value: number): Color {
  const index = toByte(value);
  if (index < 16) return index;
  if (index >= 232) {
    const gray = 8 + (index - 232) * 10;
    return `rgb(${gray} ${gray} ${gray})`;
  }
  const level = (n: number) => (n === 0 ? 0 : 55 + n * 40);
  const cube = index - 16;
  const [r, g, b] = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(level);
  return `rgb(${r} ${g} ${b})`;
}

function isPlain(style: Style): boolean {
  return Object.entries(PLAIN).every(([key, value]) => style[key as keyof Style] === value);
}
