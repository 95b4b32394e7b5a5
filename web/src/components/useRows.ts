// Which rows of a long list of equal heights are on screen.

import { type RefObject, useCallback, useLayoutEffect, useRef, useState } from 'react';
import { geometryOf } from './geometry.ts';

export interface RowsWindow {
  first: number;
  end: number; // one past the last
  top: number; // where `first` stands in the scroll area
  scrollHeight: number;
  pageRows: number; // how many fit on screen
  // In the middle of the screen, or only as far as needed.
  scrollToRow: (row: number, align?: 'center' | 'nearest') => void;
  scrollToEnd: () => void;
}

export function useRows(
  scroller: RefObject<HTMLElement | null>,
  count: number,
  rowHeight: number,
  overscan = 6,
): RowsWindow {
  const [view, setView] = useState({ scrollTop: 0, height: 0 });

  const read = useCallback(() => {
    const element = scroller.current;
    if (!element) return;
    const next = { scrollTop: element.scrollTop, height: element.clientHeight };
    setView((now) => (now.scrollTop === next.scrollTop && now.height === next.height ? now : next));
  }, [scroller]);

  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    read();
    element.addEventListener('scroll', read, { passive: true });
    const observer = new ResizeObserver(read);
    observer.observe(element);
    return () => {
      element.removeEventListener('scroll', read);
      observer.disconnect();
    };
  }, [scroller, read]);

  const geometry = geometryOf(count, rowHeight, view.height);
  const offset = geometry.toOffset(Math.min(view.scrollTop, geometry.scrollMax));
  const first = Math.max(0, Math.floor(offset / rowHeight) - overscan);
  const end = Math.min(count, Math.ceil((offset + view.height) / rowHeight) + overscan);

  const latest = useRef(geometry);
  latest.current = geometry;
  const scrollToRow = useCallback(
    (row: number, align: 'center' | 'nearest' = 'nearest') => {
      const element = scroller.current;
      if (!element) return;
      const { toOffset, toScroll } = latest.current;
      const height = element.clientHeight;
      const now = toOffset(element.scrollTop);
      const top = row * rowHeight;
      let target = now;
      if (align === 'center') target = top - (height - rowHeight) / 2;
      else if (top < now) target = top;
      else if (top + rowHeight > now + height) target = top + rowHeight - height;
      if (target === now) return;
      element.scrollTop = toScroll(Math.max(0, target));
      read(); // the rows are drawn before the next paint, not after the scroll event
    },
    [scroller, rowHeight, read],
  );
  const scrollToEnd = useCallback(() => {
    const element = scroller.current;
    if (!element) return;
    element.scrollTop = element.scrollHeight;
    read();
  }, [scroller, read]);

  return {
    first: Math.min(first, end),
    end,
    top: view.scrollTop + first * rowHeight - offset,
    scrollHeight: geometry.scrollHeight,
    pageRows: Math.max(1, Math.floor(view.height / rowHeight)),
    scrollToRow,
    scrollToEnd,
  };
}
