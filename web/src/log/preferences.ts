// How a reader likes logs, kept from one visit to the next.

export interface LogViewOptions {
  wrap: boolean;
  times: boolean;
}

const KEY = 'nimbus.log';

export function readView(): LogViewOptions {
  try {
    const saved = JSON.parse(localStorage.getItem(KEY) ?? '{}') as Partial<LogViewOptions>;
    return { wrap: saved.wrap !== false, times: saved.times === true };
  } catch {
    return { wrap: true, times: false };
  }
}

export function saveView(view: LogViewOptions): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(view));
  } catch {
    // Storage may be switched off.
  }
}
