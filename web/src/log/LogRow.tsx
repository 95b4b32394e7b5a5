import { memo } from 'react';
import { parseAnsi, type Style } from './ansi.ts';
import type { Stream } from './buffer.ts';
import styles from './Log.module.css';
import { cut, mark, type Piece } from './segments.ts';

interface Props {
  text: string;
  stream: Stream;
  seq: number;
  time: number | null;
  from: number; // the first character of the line that this row shows
  length: number;
  width: number; // characters in the whole line
  needle: string;
  isFound: boolean;
  isSelected: boolean;
}

export const LogRow = memo(function LogRow(props: Props) {
  const { stream, seq, time, from, length, width } = props;
  const pieces = cut(mark(parseAnsi(props.text), props.needle), from, length);
  const isContinued = from > 0;
  const hidden = props.length > 1000 ? width - from - length : 0;
  return (
    <div
      className={styles.row}
      data-stream={stream}
      data-found={props.isFound}
      data-selected={props.isSelected}
    >
      <span className={styles.gutter}>
        {!isContinued && (
          <a className={styles.number} href={`#L${seq}`} data-number={seq} tabIndex={-1}>
            {stream === 'gap' ? '…' : seq}
          </a>
        )}
      </span>
      {time !== null && <span className={styles.time}>{isContinued ? '' : clock(time)}</span>}
      {stream !== 'stdout' && !isContinued && <span className="visually-hidden">{stream}: </span>}
      <span className={styles.text}>
        {pieces.map((piece, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: pieces have no other identity
          <Text key={index} piece={piece} />
        ))}
        {hidden > 0 && (
          <span className={styles.cut}>
            {' '}
            … {hidden.toLocaleString('en')} more; wrap lines to read them
          </span>
        )}
      </span>
    </div>
  );
});

function Text({ piece }: { piece: Piece }) {
  if (!piece.found && !piece.style) return piece.text;
  const inner = piece.style ? <Styled style={piece.style}>{piece.text}</Styled> : piece.text;
  return piece.found ? <mark>{inner}</mark> : inner;
}

function Styled({ style, children }: { style: Style; children: string }) {
  // Palette colours as backgrounds are tints, on which the usual text stays legible.
  const inverseFg = typeof style.fg === 'number' ? style.bg : (style.bg ?? 'back');
  const fg = style.inverse ? inverseFg : style.fg;
  const bg = style.inverse ? (style.fg ?? 'text') : style.bg;
  const isNamed = (color: typeof fg) =>
    typeof color === 'number' || color === 'back' || color === 'text';
  const classes = [
    style.bold && styles.bold,
    style.dim && styles.dim,
    style.italic && styles.italic,
    style.underline && styles.underline,
    style.strike && styles.strike,
  ];
  return (
    <span
      className={classes.filter(Boolean).join(' ') || undefined}
      data-fg={isNamed(fg) ? fg : undefined}
      data-bg={isNamed(bg) ? bg : undefined}
      style={{
        ...(typeof fg === 'string' && !isNamed(fg) ? { color: fg } : {}),
        ...(typeof bg === 'string' && !isNamed(bg) ? { backgroundColor: bg } : {}),
      }}
    >
      {children}
    </span>
  );
}

function clock(time: number): string {
  if (!Number.isFinite(time)) return '';
  const at = new Date(time);
  const two = (value: number) => String(value).padStart(2, '0');
  const ms = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}
