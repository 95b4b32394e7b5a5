// Puts compressed forms beside the built files, which the program serves to those who take them.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const BYTES_MIN = 512;
const dist = path.resolve(import.meta.dirname, '../dist');

for (const name of readdirSync(dist, { recursive: true })) {
  const file = path.join(dist, name);
  if (!statSync(file).isFile() || /\.(gz|br)$/.test(name)) continue;
  const bytes = readFileSync(file);
  if (bytes.length < BYTES_MIN) continue;
  const quality = { [constants.BROTLI_PARAM_QUALITY]: 11 };
  writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
  writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params: quality }));
}
