// What the kernel counts of the disk that a file lies on: everything any program has written to it.
import { readFileSync, statSync } from 'node:fs';

const SECTOR_BYTES = 512;
/** Of /sys/dev/block/MAJOR:MINOR/stat (Documentation/block/stat.rst): sectors written. */
const SECTORS_WRITTEN_FIELD = 6;

/** Bytes written to the disk under `path` since the machine started; null where the system does not count them. */
export function diskWrittenBytes(path: string): number | null {
  try {
    const { dev } = statSync(path);
    // glibc's encoding of a device number.
    const major = (dev >> 8) & 0xfff;
    const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
    const fields = readFileSync(`/sys/dev/block/${major}:${minor}/stat`, 'utf8').trim().split(/\s+/);
    const sectors = Number(fields[SECTORS_WRITTEN_FIELD]);
    return Number.isFinite(sectors) ? sectors * SECTOR_BYTES : null;
  } catch {
    // A memory file system, an overlay, or no Linux.
    return null;
  }
}
