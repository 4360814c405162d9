// Goal: what the store says it wrote is what it wrote. Method: the pages of the file that differ behind each commit, of
// one small block, of a large one and of many shards. (The kernel's own count of the process agrees: see the benchmarks.)
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PAGE_BYTES } from '../../storage/lmdb/commit-size.ts';
import { blockOf, numberedRecords } from '../blocks.ts';
import { DURABLE_ENGINES, REF, benches } from './engines.ts';

/** What a file system adds for a commit; it is not in the file. */
const BESIDE_BYTES = 8 * 1024;

function changedPages(before: Buffer, after: Buffer): number {
  let changed = 0;
  for (let at = 0; at < after.length; at += PAGE_BYTES) {
    const [page, was] = [after, before].map((file) => file.subarray(at, at + PAGE_BYTES));
    // Behind its old end the file is longer by pages that nobody wrote.
    const isWritten =
      was?.length === 0 ? page?.some((byte) => byte !== 0) : page?.equals(was ?? page) === false;
    if (isWritten === true) changed += 1;
  }
  return changed;
}

describe.each(DURABLE_ENGINES)('$name: writtenBytes', (engine) => {
  const bench = benches(engine);

  it('counts every page that a commit changes, and what the file system adds', async () => {
    const opened = bench();
    const store = await opened.open();
    const refs = ['0', '1', '2'].map((shardId) => ({ ...REF, shardId }));
    for (const ref of refs) await store.log.createShard(ref, { retentionMs: Infinity });
    // An encrypted log makes a key of its own first.
    for (const ref of refs)
      await store.log.append(ref, { block: blockOf(numberedRecords(1)), recordCount: 1 });
    const bytesBefore = store.writtenBytes();
    let expected = 0;
    for (const [step, records] of [1, 1, 300, 300, 3_000, 3_000, 1].entries()) {
      const fileBefore = readFileSync(opened.path);
      // Never the same twice: a page that is written with what was on it counts, too.
      const block = blockOf(numberedRecords(records, `step ${step}`));
      await Promise.all(refs.map((ref) => store.log.append(ref, { block, recordCount: records })));
      expected += PAGE_BYTES * changedPages(fileBefore, readFileSync(opened.path)) + BESIDE_BYTES;
    }
    expect(store.writtenBytes() - bytesBefore).toBe(expected);
  });
});
