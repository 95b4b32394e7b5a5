import { measureReads } from './blob_get.ts';

await measureReads({ name: 'blob-get-4kib', size: 4096, blobs: 64, connections: 64, seconds: 3, aim: 0.5, registry: false, onOneCore: true });
