// A file system of a few MiB, for tests of full disks: a file mounted as a loop device, or memory with
// a bound where loop devices are not to be had.
import { spawnSync } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import path from 'node:path';
import { scratchFolder } from './blob_server.ts';

export class SmallDisk {
  readonly folder: string;
  readonly kind: 'loop' | 'tmpfs';
  private readonly home: string;

  private constructor(home: string, folder: string, kind: 'loop' | 'tmpfs') {
    this.home = home;
    this.folder = folder;
    this.kind = kind;
  }

  /** undefined: this machine lets nobody mount here. */
  static make(mebibytes: number): SmallDisk | undefined {
    const home = scratchFolder();
    const folder = path.join(home, 'disk');
    mkdirSync(folder);
    const image = path.join(home, 'image');
    const file = openSync(image, 'w');
    ftruncateSync(file, mebibytes << 20);
    closeSync(file);
    const ran = (command: string, ...args: string[]) => spawnSync(command, args).status === 0;
    if (ran('mkfs.ext4', '-q', '-m', '0', image) && ran('mount', '-o', 'loop', image, folder)) return new SmallDisk(home, folder, 'loop');
    if (ran('mount', '-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', folder)) return new SmallDisk(home, folder, 'tmpfs');
    rmSync(home, { recursive: true });
    return undefined;
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.folder);
    return bavail * bsize;
  }

  /** Somebody else fills the disk, but for `left` bytes. */
  fill(left = 0): void {
    const file = openSync(this.filler, 'a');
    let piece = 1 << 20;
    while (piece >= 512 && this.freeBytes - left > 0) {
      try {
        const size = Math.min(piece, Math.max(512, this.freeBytes - left));
        if (writeSync(file, Buffer.alloc(size)) < size) piece >>= 1;
      } catch {
        piece >>= 1;
      }
    }
    closeSync(file);
  }

  /** And goes away again. */
  release(): void {
    rmSync(this.filler, { force: true });
  }

  remove(): void {
    spawnSync('umount', [this.folder]);
    rmSync(this.home, { recursive: true, force: true });
  }

  private get filler(): string {
    return path.join(this.folder, 'of-somebody-else');
  }
}
