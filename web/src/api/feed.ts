// The live feed of /api/v1/events: one connection for the whole page, reconnected with the last event
// id, resting while the page is hidden.

import { ApiError } from './client.ts';
import { pause, retryDelayMs } from './retry.ts';
import { readStream, type ServerEvent } from './sse.ts';
import { untilVisible, whenHidden } from './visibility.ts';

export type FeedState = 'connecting' | 'live' | 'lost';

export interface FeedStatus {
  state: FeedState;
  reason: string;
}

// A connection that lasted this long was a good one.
const GOOD_MS = 5_000;

type EventsListener = (events: ServerEvent[]) => void;

export class Feed {
  readonly #url: string;
  readonly #onEvents: EventsListener;
  readonly #onReconnected: () => void;
  #status: FeedStatus = { state: 'connecting', reason: '' };
  #listeners = new Set<() => void>();
  #stop = new AbortController();
  #lastEventId = '';
  #failures = 0;
  #connectedBefore = false;
  #wake = () => {};

  constructor(url: string, onEvents: EventsListener, onReconnected: () => void) {
    this.#url = url;
    this.#onEvents = onEvents;
    this.#onReconnected = onReconnected;
  }

  // For useSyncExternalStore.
  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  status = (): FeedStatus => this.#status;

  start(): () => void {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    window.addEventListener('online', this.reconnectNow, { signal });
    void this.#run(signal);
    return () => this.#stop.abort();
  }

  reconnectNow = (): void => this.#wake();

  #set(state: FeedState, reason = ''): void {
    if (this.#status.state === state && this.#status.reason === reason) return;
    this.#status = { state, reason };
    for (const listener of this.#listeners) listener();
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const begin = performance.now();
      const reason = await this.#connectOnce(signal);
      if (signal.aborted) return;
      if (document.hidden) {
        await untilVisible(signal);
        continue;
      }
      if (performance.now() - begin > GOOD_MS) this.#failures = 0;
      this.#failures += 1;
      // One quick retry goes unnoticed: a server that restarts is no news.
      if (this.#failures > 1) this.#set('lost', reason);
      const wait = pause(retryDelayMs(this.#failures - 1), signal);
      this.#wake = wait.wake;
      await wait.done;
      this.#wake = () => {};
    }
  }

  // Gives the reason why the connection ended.
  async #connectOnce(signal: AbortSignal): Promise<string> {
    const connection = new AbortController();
    const end = () => connection.abort();
    signal.addEventListener('abort', end);
    const stopWatching = whenHidden(end);
    try {
      await readStream(this.#url, {
        lastEventId: this.#lastEventId,
        signal: connection.signal,
        onOpen: () => this.#opened(),
        onEvents: (events) => this.#deliver(events),
      });
      return 'The server closed the connection';
    } catch (error) {
      return error instanceof ApiError ? error.message : 'The server sent something unreadable';
    } finally {
      signal.removeEventListener('abort', end);
      stopWatching();
    }
  }

  #opened(): void {
    this.#set('live');
    if (this.#connectedBefore) this.#onReconnected();
    this.#connectedBefore = true;
  }

  #deliver(events: ServerEvent[]): void {
    const last = events[events.length - 1];
    if (last) this.#lastEventId = last.id;
    this.#onEvents(events);
  }
}
