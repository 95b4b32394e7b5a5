import {
  type KeyboardEvent,
  type ReactNode,
  type RefObject,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
} from 'react';
import { useRows } from './useRows.ts';
import styles from './VirtualList.module.css';

// The next page is asked for when this many loaded rows are left below.
const ROWS_AHEAD = 50;

type Id = number | string;

// What a row needs to know of its place. The control that the arrow keys go to carries its id as
// `data-row`; of all rows, only the active one's takes part in the Tab order.
export interface RowPlace {
  position: number; // in the whole list, from 1
  total: number; // -1: not known yet
  isActive: boolean;
  onFocus: (id: Id) => void;
}

interface Props<Item> {
  label: string;
  head: ReactNode;
  items: readonly Item[];
  idOf: (item: Item) => Id;
  indexOf: (id: Id) => number; // below 0 when it is not among the items
  rowHeight: number;
  row: (item: Item, place: RowPlace) => ReactNode;
  scroller: RefObject<HTMLDivElement | null>;
  hasMore: boolean;
  isLoadingMore: boolean;
  loadError: Error | null;
  onLoadMore: () => unknown;
  stale: boolean;
}

// A list of any length, of which the rows on screen are in the page. Scrolling brings the next pages;
// the arrow keys move between rows.
export function VirtualList<Item>(props: Props<Item>) {
  const { items, hasMore, isLoadingMore, loadError, onLoadMore, scroller } = props;
  const rows = useRows(scroller, items.length, props.rowHeight);
  const { activeIndex, onKeyDown, onFocusRow } = useActiveRow(props, rows);
  const wantsMore = hasMore && !isLoadingMore && !loadError && rows.end + ROWS_AHEAD > items.length;
  useEffect(() => {
    if (wantsMore) onLoadMore();
  }, [wantsMore, onLoadMore]);

  return (
    <div className={styles.table} aria-busy={props.stale}>
      <div className={styles.head} aria-hidden="true">
        {props.head}
      </div>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: arrow keys move between the rows inside */}
      <div ref={scroller} className={styles.scroller} onKeyDown={onKeyDown}>
        <div className={styles.space} style={{ height: rows.scrollHeight + (hasMore ? 44 : 12) }}>
          <ol
            className={styles.window}
            style={{ transform: `translateY(${rows.top}px)` }}
            aria-label={props.label}
          >
            {items.slice(rows.first, rows.end).map((item, offset) =>
              props.row(item, {
                position: rows.first + offset + 1,
                total: hasMore ? -1 : items.length,
                isActive: rows.first + offset === activeIndex,
                onFocus: onFocusRow,
              }),
            )}
          </ol>
          {hasMore && (
            <div className={styles.more}>
              {loadError ? (
                <button type="button" className="button small" onClick={onLoadMore}>
                  {loadError.message}. Try again
                </button>
              ) : (
                'Loading more…'
              )}
            </div>
          )}
        </div>
      </div>
    </div>
  );
}

// One row takes part in the Tab order; the arrow keys move it. It is remembered by its id, so that it
// stays put when new rows push it down.
function useActiveRow<Item>(props: Props<Item>, rows: ReturnType<typeof useRows>) {
  const { scroller, items, idOf } = props;
  const [active, setActive] = useState<Id | null>(null);
  const focusNext = useRef<Id | null>(null);
  const known = active === null ? -1 : props.indexOf(active);
  const visible = Math.min(items.length - 1, rows.first === 0 ? 0 : rows.first + 6);
  const isDrawn = known >= rows.first && known < rows.end;
  const activeIndex = isDrawn ? known : visible;

  useLayoutEffect(() => {
    if (focusNext.current === null) return;
    const link = scroller.current?.querySelector<HTMLElement>(`[data-row="${focusNext.current}"]`);
    if (!link) return; // drawn after the scroll
    focusNext.current = null;
    link.focus({ preventScroll: true });
  });
  const onKeyDown = (event: KeyboardEvent) => {
    const step = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: rows.pageRows,
      PageUp: -rows.pageRows,
      Home: -items.length,
      End: items.length,
    }[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const index = Math.max(0, Math.min(items.length - 1, activeIndex + step));
    const item = items[index];
    if (!item) return;
    setActive(idOf(item));
    focusNext.current = idOf(item);
    rows.scrollToRow(index);
  };
  return { activeIndex, onKeyDown, onFocusRow: setActive };
}
