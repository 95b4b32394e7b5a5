import {
  type MouseEvent,
  type Ref,
  useImperativeHandle,
  useLayoutEffect,
  useMemo,
  useRef,
} from 'react';
import { Icon } from '../components/icons.tsx';
import { useRows } from '../components/useRows.ts';
import type { LogSnapshot } from './follow.ts';
import styles from './Log.module.css';
import { LogRow } from './LogRow.tsx';
import { LogLayout } from './layout.ts';
import type { LogViewOptions } from './preferences.ts';
import type { Lines } from './selection.ts';
import { useColumns, useFirstSelection, useScrollIntent } from './useLogScroll.ts';

export const LINE_HEIGHT = 19;
const TIME_COLUMNS = 14;

export interface LogLinesHandle {
  showLine: (index: number) => void;
  firstLine: () => number; // the first on screen
}

interface Props {
  ref: Ref<LogLinesHandle>;
  log: LogSnapshot;
  view: LogViewOptions;
  needle: string;
  foundLine: number | null;
  selected: Lines | null;
  onSelect: (lines: Lines) => void;
  following: boolean;
  onFollowing: (following: boolean) => void;
}

export function LogLines(props: Props) {
  const { log, view, selected, following, onFollowing } = props;
  const { buffer } = log;
  const scroller = useRef<HTMLElement>(null);
  const probe = useRef<HTMLSpanElement>(null);
  const digits = Math.max(3, String(buffer.lastSeq).length);
  const gutter = digits + 4 + (view.times ? TIME_COLUMNS : 0);
  const columns = useColumns(scroller, probe, gutter);
  const layout = useMemo(
    () => new LogLayout(buffer, view.wrap ? columns : 0),
    [buffer, view.wrap, columns],
  ).extend();
  const rows = useRows(scroller, layout.rows, LINE_HEIGHT, 12);
  const { scrollToRow, scrollToEnd } = rows;
  // Where the page itself has scrolled to: the event that follows is no wish of the reader's.
  const ownTop = useRef(-1);

  const showLine = (index: number) => {
    onFollowing(false);
    scrollToRow(layout.rowOfLine(index), 'center');
    ownTop.current = scroller.current?.scrollTop ?? -1;
  };
  useImperativeHandle(props.ref, () => ({
    showLine,
    firstLine: () => layout.lineOfRow(Math.min(rows.first + 12, Math.max(0, rows.end - 1))).line,
  }));
  // biome-ignore lint/correctness/useExhaustiveDependencies: the two sizes say that the end has moved
  useLayoutEffect(() => {
    if (!following) return;
    scrollToEnd();
    ownTop.current = scroller.current?.scrollTop ?? -1;
  }, [following, scrollToEnd, layout.rows, rows.pageRows]);
  useScrollIntent(scroller, ownTop, onFollowing);
  useFirstSelection(log, selected, showLine);

  const onClick = (event: MouseEvent) => {
    const number = (event.target as HTMLElement).closest<HTMLElement>('[data-number]');
    if (!number || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const seq = Number(number.dataset.number);
    const from = event.shiftKey && selected ? selected.from : seq;
    onFollowing(false);
    props.onSelect({ from: Math.min(from, seq), to: Math.max(from, seq) });
  };

  const drawn = [];
  for (let row = rows.first; row < rows.end; row += 1) {
    const { line, from } = layout.lineOfRow(row);
    const seq = buffer.seq(line);
    drawn.push(
      <LogRow
        key={row}
        text={buffer.text(line)}
        stream={buffer.stream(line)}
        seq={seq}
        time={view.times ? buffer.time(line) : null}
        from={from}
        length={layout.charsPerRow}
        width={buffer.width(line)}
        needle={props.needle}
        isFound={line === props.foundLine}
        isSelected={selected !== null && seq >= selected.from && seq <= selected.to}
      />,
    );
  }
  return (
    <div className={styles.frame}>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: line numbers are links, Enter clicks them */}
      <section
        ref={scroller}
        className={styles.scroller}
        aria-label="Log lines"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
        tabIndex={0}
        data-wrap={view.wrap}
        style={{ '--gutter': `${digits + 2}ch` } as React.CSSProperties}
        onClick={onClick}
      >
        <span ref={probe} className={styles.probe} aria-hidden="true">
          {'0'.repeat(100)}
        </span>
        <div className={styles.space} style={{ height: rows.scrollHeight }}>
          <div className={styles.window} style={{ transform: `translateY(${rows.top}px)` }}>
            {drawn}
          </div>
        </div>
      </section>
      {!following && (
        <button
          type="button"
          className={`button small ${styles.follow}`}
          onClick={() => onFollowing(true)}
        >
          <Icon name="bottom" /> {log.state === 'ended' ? 'To the end' : 'Follow'}
        </button>
      )}
    </div>
  );
}
