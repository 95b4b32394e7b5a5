// How the log reacts to its size, to the reader's scrolling and to the page's address.

import { type RefObject, useLayoutEffect, useRef, useState } from 'react';
import type { LogSnapshot } from './follow.ts';
import type { Lines } from './selection.ts';

// This near to the end is at the end.
const END_PX = 19;

// How many characters fit beside the gutter.
export function useColumns(
  scroller: RefObject<HTMLElement | null>,
  probe: RefObject<HTMLElement | null>,
  gutter: number,
): number {
  const [fit, setFit] = useState(0);
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const measure = () => {
      const charWidth = (probe.current?.getBoundingClientRect().width ?? 0) / 100;
      if (charWidth > 0) setFit(Math.floor(element.clientWidth / charWidth));
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [scroller, probe]);
  return Math.max(20, (fit || 120) - gutter);
}

// The end is followed until the reader scrolls up, and again from when the reader is back at the end.
export function useScrollIntent(
  scroller: RefObject<HTMLElement | null>,
  ownTop: RefObject<number>,
  onFollowing: (following: boolean) => void,
) {
  useLayoutEffect(() => {
    const element = scroller.current;
    if (!element) return;
    let lastTop = element.scrollTop;
    const onScroll = () => {
      const top = element.scrollTop;
      const isUp = top < lastTop;
      const isOwn = Math.abs(top - ownTop.current) <= 1;
      const isAtEnd = element.scrollHeight - top - element.clientHeight < END_PX;
      lastTop = top;
      if (isOwn) return;
      if (isAtEnd) onFollowing(true);
      else if (isUp) onFollowing(false);
    };
    element.addEventListener('scroll', onScroll, { passive: true });
    return () => element.removeEventListener('scroll', onScroll);
  }, [scroller, ownTop, onFollowing]);
}

// A page opened at a line goes there as soon as the line has been read.
export function useFirstSelection(
  log: LogSnapshot,
  selected: Lines | null,
  showLine: (i: number) => void,
) {
  const wanted = useRef(selected);
  useLayoutEffect(() => {
    const lines = wanted.current;
    if (!lines) return;
    if (log.buffer.lastSeq < lines.from && log.state !== 'ended') return;
    wanted.current = null;
    showLine(Math.max(0, log.buffer.indexOfSeq(lines.from)));
  });
}
