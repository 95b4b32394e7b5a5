// One door to the server. Every call carries the session cookie; writes carry the CSRF token, which
// lives in memory only. A failed call throws ApiError with the problem document's words.

import type { Problem } from './types.ts';

export class ApiError extends Error {
  readonly status: number; // 0: the server could not be reached
  readonly code: string;
  readonly hint: string;

  constructor(status: number, message: string, code = '', hint = '') {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

export const isApiError = (error: unknown, status: number): boolean =>
  error instanceof ApiError && error.status === status;

let csrf = '';
export function rememberCsrf(token: string): void {
  csrf = token;
}

type Listener = () => void;
const signedOutListeners = new Set<Listener>();
// Called when the server says that the session is over.
export function onSignedOut(listener: Listener): () => void {
  signedOutListeners.add(listener);
  return () => signedOutListeners.delete(listener);
}

export function announceSignedOut(): void {
  for (const listener of signedOutListeners) listener();
}

export interface RequestOptions {
  body?: unknown;
  signal?: AbortSignal | undefined;
  accept?: number[]; // statuses besides 2xx whose body is an answer, not an error
}

export async function problemOf(response: Response): Promise<ApiError> {
  const fallback = `The server answered ${response.status} ${response.statusText}`.trim();
  try {
    const problem = (await response.json()) as Partial<Problem>;
    const message = problem.detail || problem.title || fallback;
    return new ApiError(response.status, message, problem.code, problem.hint);
  } catch {
    return new ApiError(response.status, fallback);
  }
}

async function send(method: string, path: string, options: RequestOptions): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  const init: RequestInit = { method, headers, credentials: 'same-origin', redirect: 'error' };
  if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(options.body);
  }
  if (options.signal) init.signal = options.signal;
  if (method !== 'GET' && csrf) headers['X-Nimbus-Csrf'] = csrf;
  try {
    return await fetch(path, init);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, 'The server cannot be reached', '', 'Is `nimbus up` still running?');
  }
}

export async function request<T>(
  method: string,
  path: string,
  options: RequestOptions = {},
): Promise<T> {
  const response = await send(method, path, options);
  if (!response.ok && !options.accept?.includes(response.status)) {
    const isSignIn = path === '/api/v1/session';
    if (response.status === 401 && !isSignIn) announceSignedOut();
    throw await problemOf(response);
  }
  if (response.status === 204) return undefined as T;
  const text = await response.text();
  return (text ? JSON.parse(text) : undefined) as T;
}

export const get = <T>(path: string, options?: RequestOptions) => request<T>('GET', path, options);
export const post = <T>(path: string, body?: unknown) => request<T>('POST', path, { body });
export const del = <T>(path: string) => request<T>('DELETE', path);
