// Browsers limit how tall an element can be (about 17 million pixels in Firefox), so a taller list is
// drawn in a shorter scroll area and the scroll position is scaled. Up to 800,000 rows of 20 px nothing
// is scaled at all.

const SCROLL_HEIGHT_MAX = 16_000_000;

export function geometryOf(count: number, rowHeight: number, viewHeight: number) {
  const full = count * rowHeight;
  const scrollHeight = Math.min(full, SCROLL_HEIGHT_MAX);
  const offsetMax = Math.max(0, full - viewHeight);
  const scrollMax = Math.max(0, scrollHeight - viewHeight);
  const scale = scrollMax > 0 && full > scrollHeight ? offsetMax / scrollMax : 1;
  return {
    scrollHeight,
    scrollMax,
    toOffset: (scrollTop: number) => Math.min(offsetMax, scrollTop * scale),
    toScroll: (offset: number) => Math.min(scrollMax, offset / scale),
  };
}
