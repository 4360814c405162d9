// One writer under measurement, in a process of its own, so that the kernel counts what it writes.
// Arguments: contender, folder, records in a group, groups in flight, duration in ms. Prints an AppendSample.
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { systemClock } from '../runtime/clock.ts';
import { nodeDigest } from '../runtime/digest.ts';
import { openLmdbStore } from '../storage/lmdb/lmdb-store.ts';
import { RecordLog } from '../storage/record-log.ts';
import { openRunIdentity } from '../storage/run-identity.ts';
import type { RecordInput } from '../stream/record.ts';
import type { AppendSample } from './storage.ts';
import { quantile } from './statistics.ts';
import { RECORD_BYTES, processWrittenBytes, telemetry } from './telemetry.ts';

const PEERS = join(import.meta.dirname, '../../node_modules/.cache/bench/package.json');

/** Makes one group durable. */
type Append = () => Promise<void>;

interface Sqlite {
  pragma(text: string): void;
  exec(sql: string): void;
  prepare(sql: string): { run(...values: unknown[]): void };
  transaction(work: () => void): () => void;
}

const CONTENDERS: Readonly<
  Record<string, (folder: string, group: readonly RecordInput[]) => Promise<Append>>
> = {
  tributary: async (folder, group) => {
    const path = join(folder, 'log.mdb');
    const store = await openLmdbStore({ path, clock: systemClock, layout: 'perShard' });
    const ref = { streamId: 'telemetry', shardId: 'normal' };
    await store.log.createShard(ref, { retentionMs: Infinity });
    const records = new RecordLog(store.log, openRunIdentity(), systemClock, nodeDigest);
    return async () => void (await records.append(ref, group, { class: 'normal', isLane: true }));
  },
  sqlite: async (folder, group) => {
    const Database = createRequire(PEERS)('better-sqlite3') as new (path: string) => Sqlite;
    const database = new Database(join(folder, 'log.db'));
    database.pragma('journal_mode=WAL');
    database.pragma('synchronous=FULL');
    database.exec('CREATE TABLE records (id INTEGER PRIMARY KEY, partition_key TEXT, data BLOB)');
    const insert = database.prepare('INSERT INTO records (partition_key, data) VALUES (?, ?)');
    const commit = database.transaction(() => {
      for (const { partitionKey, data } of group) insert.run(partitionKey, data);
    });
    return async () => commit();
  },
  file: async (folder, group) => {
    const file = openSync(join(folder, 'log'), 'a');
    process.once('exit', () => closeSync(file));
    return async () => {
      const framed = group.flatMap(({ partitionKey, data }) => {
        const head = Buffer.alloc(8);
        head.writeUInt32LE(partitionKey.length, 0);
        head.writeUInt32LE(data.length, 4);
        return [head, Buffer.from(partitionKey), data];
      });
      writeSync(file, Buffer.concat(framed));
      fdatasyncSync(file);
    };
  },
};

const [name = '', folder = '', groupText, inFlightText, durationText] = process.argv.slice(2);
const group = telemetry(Number(groupText));
const append = await CONTENDERS[name]?.(folder, group);
if (append === undefined) throw new Error(`no contender ${name}`);
const sample = await run(append, Number(inFlightText), Number(durationText));
process.stdout.write(JSON.stringify(sample), () => process.exit(0));

async function run(one: Append, inFlight: number, durationMs: number): Promise<AppendSample> {
  const commitMs: number[] = [];
  const writtenBefore = processWrittenBytes();
  const startedMs = performance.now();
  const writer = async (): Promise<void> => {
    while (performance.now() - startedMs < durationMs) {
      const beforeMs = performance.now();
      await one();
      commitMs.push(performance.now() - beforeMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, writer));
  const seconds = (performance.now() - startedMs) / 1_000;
  return {
    records: commitMs.length * group.length,
    payloadBytes: commitMs.length * group.length * RECORD_BYTES,
    writtenBytes: processWrittenBytes() - writtenBefore,
    seconds,
    commitMsP50: quantile(commitMs, 0.5),
    commitMsP99: quantile(commitMs, 0.99),
  };
}
