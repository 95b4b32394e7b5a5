import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// The server that `npm run dev` passes API calls to: a `nimbus up`, or `npm run mock`.
const server = process.env.NIMBUS_SERVER ?? 'http://127.0.0.1:8080';
const paths = ['/api', '/readyz', '/healthz'];

export default defineConfig({
  plugins: [react()],
  server: { proxy: Object.fromEntries(paths.map((path) => [path, server])) },
  build: {
    target: 'es2023',
    // light-dark() and nesting are left to the browser; all current ones know them.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    // Everything comes from /assets: the page's content security policy allows no data: URL.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
});
