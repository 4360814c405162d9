// The gateway's log: one lane for each stream and class, under a byte cap. What intake writes to and the uplink reads.
import { TributaryError } from '../stream/errors.ts';
import type { Clock, Digest, Log, Store, StoredBlock } from '../stream/ports.ts';
import type { RecordClass, RecordInput } from '../stream/record.ts';
import type { RecordLog, WriteOptions } from '../storage/record-log.ts';
import type { Backlog, UplinkLane, UplinkSource } from '../sync/ports.ts';
import type { Beside, IntakeLog } from './intake.ts';
import { LANE_PREFIX, decodeLaneName, encodeLaneName, laneKeyOf } from './lane-row.ts';
import type { LaneName } from './lane-row.ts';
import { LocalLane, shardRefOf } from './local-lane.ts';
import { recentNotesOf } from './lane-notes.ts';
import { LogBudget } from './log-budget.ts';
import type { LogBudgetOptions } from './log-budget.ts';

export interface LocalLogParts {
  readonly store: Store;
  readonly records: RecordLog;
  /** Run id of this opening of the log. */
  readonly run: string;
  readonly clock: Clock;
  readonly digest: Digest;
  readonly log: Log;
}

/** Each lane is a table of the engine, which has this many and needs some itself. */
const LANES_MAX = 1_000;
/** A record may take this share of the log. */
const RECORD_SHARE_MAX = 1 / 8;

export class LocalLog implements IntakeLog, UplinkSource {
  readonly #parts: LocalLogParts;
  readonly #lanes = new Map<string, Promise<LocalLane>>();
  readonly #open: LocalLane[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #budget: LogBudget;
  readonly #capBytes: number;

  private constructor(parts: LocalLogParts, budget: LogBudgetOptions) {
    this.#parts = parts;
    this.#capBytes = budget.capBytes;
    this.#budget = new LogBudget(parts, () => this.#open, budget);
  }

  static async open(parts: LocalLogParts, budget: LogBudgetOptions): Promise<LocalLog> {
    const local = new LocalLog(parts, budget);
    for await (const { value } of parts.store.meta.list(LANE_PREFIX)) {
      const name = decodeLaneName(value);
      const lane = await LocalLane.open(name, parts);
      local.#lanes.set(laneKeyOf(name), Promise.resolve(lane));
      local.#open.push(lane);
    }
    local.#budget.start();
    return local;
  }

  /** Durable when resolved, in the order of the calls. */
  async append(name: LaneName, records: readonly RecordInput[], beside: Beside): Promise<void> {
    const { side = [], ...others } = beside;
    this.#budget.requireRoom();
    const lane = await this.#laneOf(name);
    const changes = [...side, ...lane.runChanges()];
    await this.#write(lane, records, { ...others, class: name.class, isLane: true, with: changes });
    lane.appended(records.length);
    for (const listener of this.#listeners) listener();
    this.#budget.appended(records);
  }

  /** What was noted beside the newest blocks of all lanes, in the order of arrival. */
  async recentNotes(): Promise<Uint8Array> {
    const notes = await Promise.all(this.#open.map((lane) => recentNotesOf(lane, this.#parts.store.log)));
    const inOrder = notes.flat().toSorted((a, b) => a.arrivalMs - b.arrivalMs);
    return Buffer.concat(inOrder.map(({ note }) => note));
  }

  lanes(): readonly UplinkLane[] {
    return this.#open.filter((lane) => lane.forward);
  }

  onAppended(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Records the server does not have. */
  get unsentRecords(): number {
    return this.#open.reduce((sum, lane) => sum + lane.unsentRecords, 0);
  }

  /** Records evicted before the server had them, since the log was made. */
  get evictedRecords(): number {
    return this.#open.reduce((sum, lane) => sum + lane.evictedRecords, 0);
  }

  /** The same by stream and class, of those that lost any. */
  evictions(): { readonly stream: string; readonly class: RecordClass; readonly records: number }[] {
    return this.#open
      .filter((lane) => lane.evictedRecords > 0)
      .map((lane) => ({ stream: lane.stream, class: lane.class, records: lane.evictedRecords }));
  }

  async backlog(): Promise<Backlog> {
    const nowMs = this.#parts.store.nowMs();
    let bytes = 0;
    let oldestMs = Infinity;
    for (const lane of this.#open.filter((candidate) => candidate.unsentRecords > 0)) {
      const unsent = await this.#unsent(lane);
      bytes += unsent.bytes;
      oldestMs = Math.min(oldestMs, unsent.oldestMs);
    }
    return {
      records: this.unsentRecords,
      bytes,
      oldestUnsentMs: oldestMs === Infinity ? null : Math.max(0, nowMs - oldestMs),
      evictedRecords: this.evictedRecords,
    };
  }

  /** A commit met STORAGE_FULL: whether it should be tried again. */
  makeRoom(error: TributaryError): Promise<boolean> {
    return this.#budget.makeRoom(error);
  }

  /** Waits for what the budget has begun. */
  close(): Promise<void> {
    return this.#budget.close();
  }

  async #write(lane: LocalLane, records: readonly RecordInput[], options: WriteOptions): Promise<void> {
    checkSize(records, this.#capBytes);
    await this.#parts.records.append(lane.ref, records, options);
  }

  async #unsent(lane: LocalLane): Promise<{ bytes: number; oldestMs: number }> {
    const { log } = this.#parts.store;
    const next = lane.acknowledged + 1n;
    const from = await log.seekOrdinal(lane.ref, next > lane.firstKept ? next : lane.firstKept);
    const page = await log.readBlocks(lane.ref, from, { blocks: 1, bytes: 1 });
    const first = page.blocks[0];
    if (first === undefined) return { bytes: 0, oldestMs: Infinity };
    const { bytes: keptBytes, first: start } = await log.bounds(lane.ref);
    const head = await log.readBlocks(lane.ref, start ?? from, { blocks: 1, bytes: 1 });
    const sent = bytesBefore(first) - (head.blocks[0] === undefined ? 0 : bytesBefore(head.blocks[0]));
    return { bytes: keptBytes - sent, oldestMs: first.arrivalMs };
  }

  #laneOf(name: LaneName): Promise<LocalLane> {
    const key = laneKeyOf(name);
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    if (this.#lanes.size >= LANES_MAX) return Promise.reject(tooManyLanes(key));
    const created = this.#create(name);
    this.#lanes.set(key, created);
    // A full disk refuses the lane now; the next record tries again.
    created.catch(() => this.#lanes.delete(key));
    return created;
  }

  async #create(name: LaneName): Promise<LocalLane> {
    const { store, log } = this.#parts;
    await store.log.createShard(shardRefOf(name), { retentionMs: Infinity, streamName: name.stream });
    await store.meta.put(LANE_PREFIX + laneKeyOf(name), encodeLaneName(name), 'any');
    const lane = await LocalLane.open(name, this.#parts);
    this.#open.push(lane);
    log.info('lane opened', { ...name });
    return lane;
  }
}

function tooManyLanes(key: string): TributaryError {
  const text = `the log has ${LANES_MAX} lanes, one for each stream and class, and none for ${key}; route to fewer streams`;
  return new TributaryError('BUSY', text);
}

function checkSize(records: readonly RecordInput[], capBytes: number): void {
  const bytesMax = capBytes * RECORD_SHARE_MAX;
  const large = records.find(({ data }) => data.length > bytesMax);
  if (large === undefined) return;
  const text = `a record of ${large.data.length} bytes is more than an eighth of the log, which may have ${capBytes}; raise log.capBytes`;
  throw new TributaryError('RECORD_TOO_LARGE', text);
}

/** Of the shard, since it was made. */
function bytesBefore(block: StoredBlock): number {
  return block.cumulativeBytes - block.storedBytes;
}
