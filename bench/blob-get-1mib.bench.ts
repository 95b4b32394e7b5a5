import { measureReads } from './blob_get.ts';

await measureReads({ name: 'blob-get-1mib', size: 2 ** 20, blobs: 32, connections: 8, seconds: 3, aim: 0.9, registry: true, onOneCore: false });
