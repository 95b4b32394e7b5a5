// One job's log as it comes: reads the stream into a buffer, reconnects where it broke off, and starts
// afresh when a new execution of the job begins.

import { ApiError } from '../api/client.ts';
import { pause, retryDelayMs } from '../api/retry.ts';
import { readStream, type ServerEvent } from '../api/sse.ts';
import { untilVisible, whenHidden } from '../api/visibility.ts';
import { LogBuffer, type WireLine } from './buffer.ts';

export type LogState = 'loading' | 'live' | 'ended' | 'lost' | 'refused';

export interface LogSnapshot {
  buffer: LogBuffer;
  count: number;
  fence: number; // 0: not known yet
  state: LogState;
  reason: string; // of lost and refused
  missing: number; // lines that the server says it never got
}

export class LogFollower {
  readonly #job: number;
  readonly #fence: number | null; // null: the latest, whichever that is
  #snapshot: LogSnapshot = {
    buffer: new LogBuffer(),
    count: 0,
    fence: 0,
    state: 'loading',
    reason: '',
    missing: 0,
  };
  #listeners = new Set<() => void>();
  #frame = 0;

  constructor(job: number, fence: number | null) {
    this.#job = job;
    this.#fence = fence;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  snapshot = (): LogSnapshot => this.#snapshot;

  start(): () => void {
    const stop = new AbortController();
    void this.#run(stop.signal);
    return () => {
      stop.abort();
      cancelAnimationFrame(this.#frame);
      this.#frame = 0;
    };
  }

  async #run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const { buffer, count } = this.#snapshot;
      const error = await this.#readOnce(signal);
      if (signal.aborted || this.#hasEnded()) return;
      if (isRefusal(error)) {
        this.#set({ state: 'refused', reason: error.message });
        return;
      }
      // Another execution began while the connection was away: it is read from its start, now.
      if (this.#snapshot.buffer !== buffer) continue;
      if (document.hidden) {
        await untilVisible(signal);
        continue;
      }
      if (buffer.count > count) failures = 0;
      const reason = error instanceof ApiError ? error.message : 'The log could not be read';
      // One quick retry goes unnoticed.
      if (failures > 0) this.#set({ state: 'lost', reason });
      await pause(retryDelayMs(failures), signal).done;
      failures += 1;
    }
  }

  // Reads until the stream ends; gives the reason, if there was one.
  async #readOnce(signal: AbortSignal): Promise<unknown> {
    const connection = new AbortController();
    const end = () => connection.abort();
    signal.addEventListener('abort', end);
    const stopWatching = whenHidden(end);
    const after = this.#snapshot.buffer.lastSeq;
    const search = new URLSearchParams({ follow: '1' });
    if (this.#fence !== null) search.set('fence', String(this.#fence));
    if (after > 0) search.set('after', String(after));
    try {
      await readStream(`/api/v1/jobs/${this.#job}/logs?${search}`, {
        signal: connection.signal,
        onOpen: () => {
          if (this.#snapshot.state === 'lost') this.#set({ state: 'live', reason: '' });
        },
        onEvents: (events) => {
          if (connection.signal.aborted) return;
          if (this.#take(events, after)) end();
        },
      });
      return null;
    } catch (error) {
      return error;
    } finally {
      signal.removeEventListener('abort', end);
      stopWatching();
    }
  }

  // True when the stream must be read anew: it began behind the start of another execution.
  #take(events: ServerEvent[], after: number): boolean {
    for (const event of events) {
      const data = JSON.parse(event.data);
      if (event.type === 'line') {
        if (this.#begin(data.fence) && after > 0) return true;
        this.#snapshot.buffer.append(data as WireLine);
      } else if (event.type === 'execution') {
        if (this.#begin(data.fence) && after > 0) return true;
      } else if (event.type === 'end') {
        this.#set({ state: 'ended', reason: '', missing: Number(data.missing) || 0 });
      }
    }
    this.#announceSoon();
    return false;
  }

  // True when this is another execution than the one read so far.
  #begin(fence: unknown): boolean {
    if (typeof fence !== 'number' || fence === this.#snapshot.fence) return false;
    const known = this.#snapshot.fence > 0;
    this.#set(known ? { buffer: new LogBuffer(), fence, count: 0 } : { fence });
    return known;
  }

  #hasEnded(): boolean {
    return this.#snapshot.state === 'ended';
  }

  #set(change: Partial<LogSnapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    this.#announceSoon();
  }

  // The page is told once per frame, however many lines came.
  #announceSoon(): void {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      const { buffer, state } = this.#snapshot;
      const reading = state === 'loading' && buffer.count > 0 ? 'live' : state;
      this.#snapshot = { ...this.#snapshot, count: buffer.count, state: reading };
      for (const listener of this.#listeners) listener();
    });
  }
}

// Answers that trying again does not change.
function isRefusal(error: unknown): error is ApiError {
  return error instanceof ApiError && [400, 401, 403, 404, 405, 422].includes(error.status);
}
