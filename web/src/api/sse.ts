// Server-sent events (WHATWG HTML 9.2) over fetch rather than EventSource: a refused stream shows its
// status, a burst of events arrives as one batch, and the caller decides when to reconnect.

import { ApiError, announceSignedOut, problemOf } from './client.ts';

export interface ServerEvent {
  type: string;
  data: string;
  id: string; // the last id seen up to this event, '' for none
}

// One event may not be longer than this; a server that sends more is not ours.
const EVENT_CHARS_MAX = 4 * 1024 * 1024;

export class SseParser {
  #rest = '';
  #type = '';
  #data: string[] = [];
  #size = 0;
  #id: string;

  constructor(lastEventId = '') {
    this.#id = lastEventId;
  }

  // Takes the next piece of the stream, gives the events that it completes.
  push(chunk: string): ServerEvent[] {
    let text = this.#rest + chunk;
    // A CR at the very end may be half of a CRLF.
    const held = text.endsWith('\r') ? '\r' : '';
    if (held) text = text.slice(0, -1);
    if (text.includes('\r')) text = text.replace(/\r\n?/g, '\n');
    const events: ServerEvent[] = [];
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      this.#line(text.slice(start, end), events);
      start = end + 1;
    }
    this.#rest = text.slice(start) + held;
    if (this.#rest.length + this.#size > EVENT_CHARS_MAX) throw new Error('event too long');
    return events;
  }

  #line(line: string, events: ServerEvent[]): void {
    if (line === '') {
      if (this.#data.length > 0) {
        events.push({
          type: this.#type || 'message',
          data: this.#data.length === 1 ? (this.#data[0] as string) : this.#data.join('\n'),
          id: this.#id,
        });
      }
      this.#type = '';
      this.#data = [];
      this.#size = 0;
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) return; // a comment keeps the connection alive
    const field = colon < 0 ? line : line.slice(0, colon);
    const skip = line[colon + 1] === ' ' ? 2 : 1;
    const value = colon < 0 ? '' : line.slice(colon + skip);
    if (field === 'data') {
      this.#data.push(value);
      this.#size += value.length;
    } else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
  }
}

// Lets the page paint and answer input between two slices of work.
function breathe(): Promise<void> {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(0);
  });
}

const SLICE_MS = 12;

// The server sends at least a comment every fifteen seconds; this much silence is a dead connection.
const SILENCE_MS = 40_000;

export interface StreamOptions {
  lastEventId?: string;
  signal: AbortSignal;
  onOpen?: () => void;
  onEvents: (events: ServerEvent[]) => void;
}

// Reads one stream to its end. Throws ApiError when it is refused, breaks or falls silent, AbortError
// when the signal fires.
export async function readStream(url: string, options: StreamOptions): Promise<void> {
  const silence = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENCE_MS);
  };
  const orLost = <T>(work: Promise<T>, message: string): Promise<T> =>
    work.catch((error) => {
      if (options.signal.aborted) throw error;
      throw new ApiError(0, silence.signal.aborted ? 'The server fell silent' : message);
    });
  heard();
  try {
    const reader = await open(
      url,
      options,
      AbortSignal.any([options.signal, silence.signal]),
      orLost,
    );
    const parser = new SseParser(options.lastEventId);
    let sliceStart = performance.now();
    for (;;) {
      const piece = await orLost(reader.read(), 'The connection was lost');
      if (piece.done) return;
      heard();
      const events = parser.push(piece.value);
      if (events.length > 0) options.onEvents(events);
      if (performance.now() - sliceStart > SLICE_MS) {
        await breathe();
        sliceStart = performance.now();
      }
    }
  } finally {
    clearTimeout(timer);
    silence.abort(); // lets go of the connection, however this ended
  }
}

async function open(
  url: string,
  options: StreamOptions,
  signal: AbortSignal,
  orLost: <T>(work: Promise<T>, message: string) => Promise<T>,
): Promise<ReadableStreamDefaultReader<string>> {
  const headers: Record<string, string> = { Accept: 'text/event-stream' };
  if (options.lastEventId) headers['Last-Event-ID'] = options.lastEventId;
  const init: RequestInit = { headers, credentials: 'same-origin', cache: 'no-store', signal };
  const response = await orLost(fetch(url, init), 'The server cannot be reached');
  if (!response.ok || !response.body) {
    if (response.status === 401) announceSignedOut();
    throw await problemOf(response);
  }
  options.onOpen?.();
  return response.body.pipeThrough(new TextDecoderStream()).getReader();
}
