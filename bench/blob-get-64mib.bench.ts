import { measureReads } from './blob_get.ts';

await measureReads({ name: 'blob-get-64mib', size: 64 * 2 ** 20, blobs: 4, connections: 4, seconds: 3, aim: 0.9, registry: true, onOneCore: false });
