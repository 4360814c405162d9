// The newest blocks of every shard, read from a store file's pages: while its program runs, and out of a damaged file. It
// changes nothing and asks nobody. What is damaged or was written over meanwhile is left out.
import { decodeEntry } from '../meta-entry.ts';
import { PageFile } from './page-file.ts';
import { PageTrees } from './page-tree.ts';
import type { TreeEntry } from './page-tree.ts';
import { noOf, refOf } from '../shard-keys.ts';
import { decodeShardRow } from '../lmdb/shard-row.ts';
import { isEnvelopeSound, readEnvelope, unwrapBlock } from '../lmdb/stored-block.ts';

export interface FoundBlock {
  /** As stored: it may be sealed. */
  readonly block: Uint8Array;
  readonly recordCount: number;
  /** Records of the shard up to and including this block: in a gateway's log the ordinal of its last one. */
  readonly cumulativeRecords: number;
}

export interface FoundShard {
  readonly stream: string;
  readonly shardId: string;
  /** Oldest first. */
  readonly blocks: readonly FoundBlock[];
}

export interface NewestBlocks {
  readonly shards: readonly FoundShard[];
  /** Entries of the map that the caller asked for. */
  readonly meta: ReadonlyMap<string, Uint8Array>;
}

/** Of each shard as many of the newest blocks as it takes to have `recordsMax` records; at most `blocksMax`. */
export function newestBlocks(
  path: string,
  { recordsMax, blocksMax, metaPrefix }: { recordsMax: number; blocksMax: number; metaPrefix: string },
): NewestBlocks {
  return PageFile.read(path, (file) => {
    const trees = new PageTrees(file, () => undefined);
    const newest = new Map<number, TreeEntry[]>();
    const names: { no: number; stream: string; shardId: string }[] = [];
    const meta = new Map<string, Uint8Array>();
    const take = (table: string, entry: TreeEntry): void => {
      if (isBlocks(table)) {
        const entries = newest.get(noOf(entry.key)) ?? [];
        newest.set(noOf(entry.key), entries);
        entries.push(entry);
        if (entries.length > blocksMax) entries.shift();
      } else if (table === 'shards' || table === 'meta') {
        const value = trees.valueOf(entry);
        if (value === null) return;
        if (table === 'shards') {
          const { no, streamName } = decodeShardRow(value);
          names.push({ no, stream: streamName, shardId: refOf(entry.key).shardId });
        } else {
          const { key, value: bytes } = decodeEntry(value);
          if (key.startsWith(metaPrefix)) meta.set(key, bytes);
        }
      }
    };
    const [root] = file.roots;
    for (const { key, tree } of root === undefined ? [] : trees.entries(root.mainRoot)) {
      // The library ends the names of tables with a NUL.
      const table = key.toString('utf8', 0, key.length - 1);
      for (const entry of tree === null ? [] : trees.entries(tree.root)) readable(() => take(table, entry));
    }
    const shards = names.map(({ no, ...name }) => ({
      ...name,
      blocks: lastBlocks(newest.get(no) ?? [], trees, recordsMax),
    }));
    return { shards, meta };
  });
}

function lastBlocks(entries: readonly TreeEntry[], trees: PageTrees, recordsMax: number): FoundBlock[] {
  const blocks: FoundBlock[] = [];
  let records = 0;
  for (const entry of entries.toReversed()) {
    if (records >= recordsMax) break;
    const block = readable(() => blockOf(trees.valueOf(entry)));
    if (block === null) continue;
    records += block.recordCount;
    blocks.unshift(block);
  }
  return blocks;
}

function blockOf(stored: Buffer | null): FoundBlock | null {
  if (stored === null || !isEnvelopeSound(stored)) return null;
  const { isLost, recordCount, cumulativeRecords } = readEnvelope(stored);
  return isLost ? null : { block: unwrapBlock(stored).block, recordCount, cumulativeRecords };
}

function isBlocks(table: string): boolean {
  return table === 'log' || table.startsWith('log/');
}

function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch {
    // A row that lies, or a page that was used again.
    return null;
  }
}
