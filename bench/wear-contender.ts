// One load on the log under measurement, in a process of its own.
// Arguments: folder; commit, ring, paced or scan; KiB a commit, messages a second or bytes a record; compression; duration
// in ms. Prints a WearSample, of a scan a ScanSample.
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { LocalLog } from '../gateway/local-log.ts';
import { systemClock } from '../runtime/clock.ts';
import { codecFor } from '../runtime/codecs.ts';
import type { Compression } from '../runtime/codecs.ts';
import { nodeDigest } from '../runtime/digest.ts';
import { openLog } from '../runtime/log-writer.ts';
import { openLmdbStore } from '../storage/lmdb/lmdb-store.ts';
import { RecordLog } from '../storage/record-log.ts';
import { openRunIdentity } from '../storage/run-identity.ts';
import { WearBudget } from '../storage/wear-budget.ts';
import { BLOCK_HEADER_BYTES } from '../stream/block-header.ts';
import { START_POSITION } from '../stream/position.ts';
import type { RecordInput } from '../stream/record.ts';
import { quantile } from './statistics.ts';
import { RECORD_BYTES, telemetry } from './telemetry.ts';
import type { ScanSample, WearSample } from './wear.ts';

const RING_BYTES = 64 * 1024 * 1024;
const BUDGET_BYTES_PER_DAY = 4e9;
const LANE = { stream: 'telemetry', class: 'normal', forward: true } as const;
const SCAN_RECORDS = 1_000_000;
const SCAN_BLOCK_RECORDS = 1_000;

const [folder = '', mode = '', sizeText, compression = 'none', durationText] = process.argv.slice(2);
const [size, durationMs] = [Number(sizeText), Number(durationText)];

const clock = systemClock;
const path = join(folder, 'gateway.mdb');
const capBytes = mode === 'ring' ? RING_BYTES : Infinity;
const store = await openLmdbStore({
  path,
  clock,
  layout: 'perShard',
  ...(mode === 'ring' ? { capBytes } : {}),
});
const run = openRunIdentity();
const budget = new WearBudget(clock, mode === 'paced' ? BUDGET_BYTES_PER_DAY : Infinity, 0);
let settledBytes = 0;
const records = new RecordLog(store.log, run, clock, nodeDigest, {
  clockSync: () => 'unknown',
  pendingBytesMax: 1e9,
  compression: codecFor(compression as Compression),
  makeRoom: (error) => local.makeRoom(error),
  pace: {
    waitMs: () => {
      const written = store.writtenBytes();
      budget.spend(written - settledBytes);
      settledBytes = written;
      return budget.waitMs();
    },
  },
});
const local: LocalLog = await LocalLog.open(
  {
    store,
    records,
    run: run.run,
    clock,
    digest: nodeDigest,
    log: openLog('bench', { level: 'error', write: () => undefined }),
  },
  { capBytes, acknowledgedRetentionMs: Infinity, whenFull: 'drop-oldest', retentionMs: null },
);
const sample = mode === 'scan' ? await scan() : mode === 'paced' ? await paced() : await commits();
process.stdout.write(JSON.stringify(sample), () => process.exit(0));

/** Full commits, one after the other; of a ring, after it has been filled once. */
async function commits(): Promise<WearSample> {
  const perCommit = Math.floor((size * 1024) / RECORD_BYTES);
  let next = 0;
  const append = async (): Promise<void> => {
    await local.append(LANE, telemetry(perCommit, next), {});
    next += perCommit;
  };
  if (mode === 'ring') while (local.evictedRecords === 0) await append();
  const before = { records: next, written: store.writtenBytes(), ms: performance.now() };
  const waits: number[] = [];
  while (performance.now() - before.ms < durationMs) {
    const startedMs = performance.now();
    await append();
    waits.push(performance.now() - startedMs);
  }
  return sampleOf(next - before.records, store.writtenBytes() - before.written, before.ms, waits);
}

/** Messages at a steady rate, each waiting for its own acknowledgement. */
async function paced(): Promise<WearSample> {
  const before = { written: store.writtenBytes(), ms: performance.now() };
  const waits: Promise<number>[] = [];
  for (let sent = 0; performance.now() - before.ms < durationMs; sent += 1) {
    waits.push(timed(telemetry(1, sent)));
    await sleep(Math.max(0, before.ms + ((sent + 1) * 1_000) / size - performance.now()));
  }
  const all = await Promise.all(waits);
  return sampleOf(all.length, store.writtenBytes() - before.written, before.ms, all);
}

async function timed(one: readonly RecordInput[]): Promise<number> {
  const startedMs = performance.now();
  await local.append(LANE, one, {});
  return performance.now() - startedMs;
}

function sampleOf(
  count: number,
  writtenBytes: number,
  startedMs: number,
  waits: readonly number[],
): WearSample {
  return {
    payloadBytes: count * RECORD_BYTES,
    writtenBytes,
    seconds: (performance.now() - startedMs) / 1_000,
    acknowledgedMsP50: quantile(waits, 0.5),
    acknowledgedMsP99: quantile(waits, 0.99),
  };
}

async function scan(): Promise<ScanSample> {
  for (let next = 0; next < SCAN_RECORDS; next += SCAN_BLOCK_RECORDS)
    await local.append(LANE, telemetry(SCAN_BLOCK_RECORDS, next), {});
  const ref = { streamId: LANE.stream, shardId: LANE.class };
  const readAll = async (): Promise<number> => {
    let count = 0;
    for (let next = START_POSITION; ;) {
      const page = await records.read(ref, next, { records: 10_000, bytes: 10e6 });
      if (page.records.length === 0) return count;
      count += page.records.length;
      next = page.next;
    }
  };
  const copyAll = async (): Promise<number> => {
    let count = 0;
    for (let next = START_POSITION; ;) {
      const { blocks, next: behind } = await store.log.readBlocks(ref, next, { blocks: 10, bytes: 10e6 });
      if (blocks.length === 0) return count;
      for (const { block, recordCount } of blocks) {
        for (let index = 0; index < recordCount; index += 1) {
          const at = BLOCK_HEADER_BYTES + index * RECORD_BYTES;
          if (block.slice(at, at + RECORD_BYTES).length === RECORD_BYTES) count += 1;
        }
      }
      next = behind;
    }
  };
  await readAll();
  const rate = async (work: () => Promise<number>): Promise<number> => {
    const startedMs = performance.now();
    const count = await work();
    return (count / (performance.now() - startedMs)) * 1_000;
  };
  return { copiesPerSecond: await rate(copyAll), recordsPerSecond: await rate(readAll) };
}
