// Serves web/dist as the program does, with the same security headers, for looking at a built page
// in front of the mock.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { HEADERS } from './headers.mjs';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
const dist = path.resolve(import.meta.dirname, '../dist');

// True when the request was for a page or a file of it.
export function serveFile(request, response) {
  const { pathname } = new URL(request.url, 'http://mock');
  if (request.method !== 'GET' || pathname.startsWith('/api/')) return false;
  const wantsPage = (request.headers.accept ?? '').includes('text/html');
  const name = path.extname(pathname) ? pathname : wantsPage ? '/index.html' : '';
  const file = path.join(dist, path.normalize(name));
  if (!name || !file.startsWith(dist)) return false;
  try {
    const body = readFileSync(file);
    response.writeHead(200, {
      ...HEADERS,
      'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream',
    });
    response.end(body);
    return true;
  } catch {
    return false;
  }
}
