// Fills the log of a gateway that has been started once with records that do not shrink. Arguments: folder, GiB.
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { LocalLog } from '../gateway/local-log.ts';
import { systemClock } from '../runtime/clock.ts';
import { nodeDigest } from '../runtime/digest.ts';
import { openLog } from '../runtime/log-writer.ts';
import { openLmdbStore } from '../storage/lmdb/lmdb-store.ts';
import { RecordLog } from '../storage/record-log.ts';
import { openRunIdentity } from '../storage/run-identity.ts';

/** What a busy gateway commits at once. */
const RECORDS = 64;
const RECORD_BYTES = 1_000;
const IN_FLIGHT = 16;

const [folder = '', gib] = process.argv.slice(2);
const path = join(folder, 'gateway.mdb');
const store = await openLmdbStore({ path, clock: systemClock, layout: 'perShard' });
const run = openRunIdentity();
const records = new RecordLog(store.log, run, systemClock, nodeDigest);
const log = openLog('fill', { level: 'error' });
const local = await LocalLog.open(
  { store, records, run: run.run, clock: systemClock, digest: nodeDigest, log },
  { capBytes: Infinity, acknowledgedRetentionMs: Infinity, whenFull: 'reject', retentionMs: null },
);
const lane = { stream: 'telemetry', class: 'normal', forward: true } as const;
const noise = randomBytes(RECORDS * RECORD_BYTES);
const group = Array.from({ length: RECORDS }, (_, index) => ({
  partitionKey: `sensor-${index}`,
  data: noise.subarray(index * RECORD_BYTES, (index + 1) * RECORD_BYTES),
}));
const bytesMax = Number(gib) * 1024 ** 3;
while (statSync(path).size < bytesMax)
  await Promise.all(Array.from({ length: IN_FLIGHT }, () => local.append(lane, group, {})));
await local.close();
await store.close();
