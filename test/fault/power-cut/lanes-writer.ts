// The program whose disk is recorded as a gateway uses it: many callers at once on the lanes of a log under a small cap,
// with notes, side values, cursors and evictions, and a second opening halfway. Arguments: the data folder, the file to
// speak to, a seed, calls of each caller.
import { isTributaryError } from '../../../stream/errors.ts';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RECORD_CLASSES } from '../../../stream/record.ts';
import type { RecordClass } from '../../../stream/record.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { nodeDigest } from '../../../runtime/digest.ts';
import { openLmdbStore } from '../../../storage/lmdb/lmdb-store.ts';
import { RecordLog } from '../../../storage/record-log.ts';
import { openRunIdentity } from '../../../storage/run-identity.ts';
import { LocalLog } from '../../../gateway/local-log.ts';
import type { LaneName } from '../../../gateway/lane-row.ts';
import { randomOf } from '../../seeded-random.ts';
import { SIDE_CALLS_KEPT, encodePayload, noteOf, sideKey } from './payload.ts';
import { openSaid } from './said.ts';
import type { LaneSaid, Said } from './said.ts';
import { quiet } from './quiet-log.ts';

const STREAMS = ['a', 'b'];
/** The server has nothing of it: what is evicted of it was never sent. */
const UNSENT_STREAM = 'b';
const CALLERS_PER_LANE = 2;
const RECORDS_PER_CALL_MAX = 4;
const CAP_BYTES = 512 * 1024;
/** Most records are small; some have pages of their own. */
const SIZES = [20, 60, 200, 900, 3_000, 12_000];
const FULL_TRIES_MAX = 2_000;
const PAUSE_MS_MAX = 6;

interface Counts {
  acknowledged: number;
  submitted: number;
  firstKept: number;
  cursor: number;
}

/** As a client does: on a slow disk a small log is full for a moment, until what was evicted has left it. */
async function untilRoom(append: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await append();
      return;
    } catch (error) {
      if (!isTributaryError(error, 'STORAGE_FULL') || tries === FULL_TRIES_MAX) throw error;
      await sleep(PAUSE_MS_MAX);
    }
  }
}

class Run {
  readonly #random: () => number;
  readonly #say: (said: Said) => void;
  readonly #counts = new Map<string, Counts>();
  readonly #calls = new Map<string, number>();

  constructor(seed: number, say: (said: Said) => void) {
    this.#random = randomOf(seed);
    this.#say = say;
  }

  /** One opening of the log. */
  async open(path: string, calls: number): Promise<void> {
    const store = await openLmdbStore({ path, clock: systemClock, layout: 'perShard' });
    const identity = openRunIdentity();
    const records = new RecordLog(store.log, identity, systemClock, nodeDigest);
    const parts = { store, records, run: identity.run, clock: systemClock, digest: nodeDigest, log: quiet };
    const local = await LocalLog.open(parts, {
      capBytes: CAP_BYTES,
      acknowledgedRetentionMs: 1e9,
      whenFull: 'drop-oldest-of-lowest-class',
      retentionMs: null,
    });
    this.#speak(local);
    await Promise.all(
      lanes().flatMap((lane) =>
        Array.from({ length: CALLERS_PER_LANE }, (_, index) => this.#write(local, lane, `${index}`, calls)),
      ),
    );
    await local.close();
    await records.flush();
    await store.close();
    this.#speak(local);
  }

  async #write(local: LocalLog, lane: LaneName, name: string, calls: number): Promise<void> {
    const key = `${lane.stream}/${lane.class}`;
    const caller = `${key}/${name}`;
    for (let count = 0; count < calls; count += 1) {
      if (this.#random() < 0.7) await sleep(this.#random() * PAUSE_MS_MAX);
      const call = (this.#calls.get(caller) ?? 0) + 1;
      this.#calls.set(caller, call);
      await this.#call(local, lane, caller, call);
      if (lane.stream !== UNSENT_STREAM && this.#random() < 0.3) this.#acknowledge(local, key);
    }
  }

  async #call(local: LocalLog, lane: LaneName, caller: string, call: number): Promise<void> {
    const counts = this.#countsOf(`${lane.stream}/${lane.class}`);
    const count = 1 + Math.floor(this.#random() * RECORDS_PER_CALL_MAX);
    const records = Array.from({ length: count }, (_, index) => {
      counts.submitted += 1;
      const bytes = SIZES[Math.floor(this.#random() * SIZES.length)] ?? 0;
      const data = encodePayload({ caller, call, count, index, ordinal: counts.submitted, bytes });
      return { partitionKey: caller, data };
    });
    const last = counts.submitted;
    const side = [
      { key: sideKey(caller, call), value: Buffer.from(`${last}`) },
      { key: sideKey(caller, call - SIDE_CALLS_KEPT), value: null },
    ];
    await untilRoom(() => local.append(lane, records, { side, note: Buffer.from(noteOf({ caller, call })) }));
    counts.acknowledged = Math.max(counts.acknowledged, last);
    this.#speak(local);
  }

  #acknowledge(local: LocalLog, key: string): void {
    const lane = local.lanes().find((one) => `${one.stream}/${one.class}` === key);
    const counts = this.#countsOf(key);
    counts.cursor = Math.max(counts.cursor, Math.floor(counts.acknowledged * this.#random()));
    lane?.acknowledge(BigInt(counts.cursor));
  }

  #countsOf(key: string): Counts {
    let counts = this.#counts.get(key);
    if (counts === undefined) {
      counts = { acknowledged: 0, submitted: 0, firstKept: 1, cursor: 0 };
      this.#counts.set(key, counts);
    }
    return counts;
  }

  #speak(local: LocalLog): void {
    for (const lane of local.lanes()) {
      this.#countsOf(`${lane.stream}/${lane.class}`).firstKept = Number(lane.firstKept);
    }
    const entries = [...this.#counts].map(([key, counts]): [string, LaneSaid] => [key, { ...counts }]);
    this.#say({ kind: 'lanes', lanes: Object.fromEntries(entries) });
  }
}

function lanes(): LaneName[] {
  return STREAMS.flatMap((stream) =>
    RECORD_CLASSES.map((recordClass: RecordClass) => ({ stream, class: recordClass, forward: true })),
  );
}

const [folder, said, seed, calls] = process.argv.slice(2);
if (folder !== undefined && said !== undefined) {
  const run = new Run(Number(seed), openSaid(said));
  const path = join(folder, 'log.mdb');
  await run.open(path, Math.ceil(Number(calls) / 2));
  await run.open(path, Math.floor(Number(calls) / 2));
}
