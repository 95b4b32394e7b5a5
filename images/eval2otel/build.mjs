// Bundles library and command with what they need of OpenTelemetry into dist/: few files load faster
// than some hundred, which counts where Node.js runs in an emulated machine.
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { build } from 'esbuild';

process.chdir(import.meta.dirname);
rmSync('dist', { recursive: true, force: true });
const { metafile } = await build({
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
  metafile: true,
  logLevel: 'warning',
  banner: { js: "import { createRequire as nodeRequire } from 'node:module'; const require = nodeRequire(import.meta.url);" },
});
writeFileSync('dist/cli.mjs', `#!/usr/bin/env node\n${readFileSync('dist/cli.mjs', 'utf8')}`);
chmodSync('dist/cli.mjs', 0o755);

// Whose work is in the bundle, and under which licence.
const packages = new Set(Object.keys(metafile.inputs).flatMap((file) => /^(node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []));
const lines = [...packages].sort().map((folder) => {
  const { name, version, license, author } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
  return `${name} ${version}, ${license}${author ? `, ${author.name ?? author}` : ''}\n`;
});
writeFileSync('dist/NOTICE.txt', `The files of this folder contain:\n\n${lines.join('')}`);
