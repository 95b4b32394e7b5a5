import { measureReads } from './blob_get.ts';

await measureReads({ name: 'blob-get-1gib', size: 2 ** 30, blobs: 1, connections: 2, seconds: 4, aim: 0.9, registry: true, onOneCore: false });
