// Bundles library and command with what they need of OpenTelemetry into dist/: few files load faster
// than some hundred, which counts where Node.js runs in an emulated machine.
import { chmodSync, rmSync } from 'node:fs';
import { build } from 'esbuild';

process.chdir(import.meta.dirname);
rmSync('dist', { recursive: true, force: true });
await build({
  entryPoints: { index: 'src/index.ts', cli: 'src/cli.ts' },
  outdir: 'dist',
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22',
  mainFields: ['module', 'main'],
  minify: true,
  legalComments: 'linked',
  logLevel: 'warning',
  banner: { js: "import { createRequire as nodeRequire } from 'node:module'; const require = nodeRequire(import.meta.url);" },
});
const { readFileSync, writeFileSync } = await import('node:fs');
writeFileSync('dist/cli.mjs', `#!/usr/bin/env node\n${readFileSync('dist/cli.mjs', 'utf8')}`);
chmodSync('dist/cli.mjs', 0o755);
