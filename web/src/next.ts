// Where to go after signing in. Only a path of this page: `//host` and `/\host` would lead elsewhere.
export function safeNext(next: string | null): string {
  return next && /^\/(?![/\\])/.test(next) ? next : '/jobs';
}
