// The reference model of a store: what the ports mean, in plain arrays and maps. It shares no decision with the embedded
// engine but what stream/ decides for both and how arrival times go, so that a test of one against the other means
// something. Every call takes effect at once, hence nothing about it is durable and nothing races.
import type { Clock, Store } from '../../stream/ports.ts';
import { MemoryDisk } from './memory-disk.ts';
import { MemoryMeta } from './memory-meta.ts';
import { MemoryShardLog } from './memory-shard-log.ts';

export interface MemoryOptions {
  readonly clock: Clock;
}

export interface MemoryStore extends Store {
  /** The next write meets a full disk (nothing is written, the one behind it succeeds) or a failed one (all fail). */
  failNext(cause: 'ENOSPC' | 'EIO'): void;
}

export async function openMemoryStore(options: MemoryOptions): Promise<MemoryStore> {
  const disk = new MemoryDisk();
  const meta = new MemoryMeta(disk);
  const log = new MemoryShardLog(disk, meta, options.clock);
  return {
    log,
    meta,
    failNext: (cause) => disk.fail(cause),
    usage: () => ({ fileBytes: log.bytes, liveBytes: log.bytes, lostRecords: 0 }),
    writtenBytes: () => 0,
    nowMs: () => options.clock.wallMs(),
    close: async () => {
      disk.close();
      log.close();
      meta.close();
    },
  };
}
