// Checks a gateway's log as a power cut left it: every lane against what was promised, its records against the notes, side
// values, runs, cursors and counts of the same commits; then it goes on writing.
import { runAt } from '../../../stream/lane.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { nodeDigest } from '../../../runtime/digest.ts';
import { RecordLog } from '../../../storage/record-log.ts';
import { openRunIdentity } from '../../../storage/run-identity.ts';
import { LocalLog } from '../../../gateway/local-log.ts';
import type { LocalLane } from '../../../gateway/local-lane.ts';
import type { Store } from '../../../stream/ports.ts';
import { keptBlocks } from './block-check.ts';
import type { KeptBlock } from './block-check.ts';
import type { Problems } from './expectation.ts';
import { SIDE_CALLS_KEPT, encodePayload, noteOf, sideKey } from './payload.ts';
import type { Payload } from './payload.ts';
import { quiet } from './quiet-log.ts';
import type { LaneSaid, LanesSaid } from './said.ts';

const NO_CAP = {
  capBytes: 1e12,
  acknowledgedRetentionMs: 1e12,
  whenFull: 'reject',
  retentionMs: null,
} as const;
const NOTHING: LaneSaid = { acknowledged: 0, submitted: 0, firstKept: 1, cursor: 0 };
/** Only this stream's lanes are never acknowledged: every record of theirs that went was evicted. */
const UNSENT_STREAM = 'b';

export async function checkLanes(
  store: Store,
  before: LanesSaid | null,
  behind: LanesSaid,
  problems: Problems,
): Promise<void> {
  const identity = openRunIdentity();
  const records = new RecordLog(store.log, identity, systemClock, nodeDigest);
  const parts = { store, records, run: identity.run, clock: systemClock, digest: nodeDigest, log: quiet };
  const local = await LocalLog.open(parts, NO_CAP);
  // This log's lanes are LocalLanes; what the uplink sees of them is less.
  const lanes = new Map(local.lanes().map((lane) => [`${lane.stream}/${lane.class}`, lane as LocalLane]));
  for (const [key, promised] of Object.entries(before?.lanes ?? {})) {
    if (promised.acknowledged === 0) continue;
    problems.expect(lanes.has(key), () => `lane ${key} is gone`);
  }
  for (const [key, lane] of lanes) {
    const check = new LaneCheck(store, key, lane, problems);
    await check.run(before?.lanes[key] ?? NOTHING, behind.lanes[key] ?? NOTHING);
  }
  await Promise.all([...lanes].map(([key, lane]) => goOn(local, key, lane, problems)));
  await local.close();
}

class LaneCheck {
  readonly #store: Store;
  readonly #key: string;
  readonly #lane: LocalLane;
  readonly #problems: Problems;

  constructor(store: Store, key: string, lane: LocalLane, problems: Problems) {
    this.#store = store;
    this.#key = key;
    this.#lane = lane;
    this.#problems = problems;
  }

  async run(before: LaneSaid, behind: LaneSaid): Promise<void> {
    const { history, firstKept, acknowledged, evictedRecords } = this.#lane;
    const last = Number(history.last);
    this.#between('last ordinal', last, before.acknowledged, behind.submitted);
    this.#between('first kept', Number(firstKept), 1, Math.max(1, behind.firstKept));
    this.#between('cursor', Number(acknowledged), 0, Math.min(last, behind.cursor));
    if (this.#lane.stream === UNSENT_STREAM) {
      const gone = Number(firstKept) - 1;
      this.#expect(evictedRecords === gone, `${evictedRecords} counted as evicted, ${gone} are gone`);
    }
    const blocks = await keptBlocks(this.#store, this.#lane.ref, this.#problems);
    this.#checkOrdinals(blocks);
    this.#checkRuns(blocks);
    await this.#checkSides(blocks.flatMap(({ payloads }) => payloads));
  }

  #checkOrdinals(blocks: readonly KeptBlock[]): void {
    let next = Number(this.#lane.firstKept);
    for (const { firstOrdinal, payloads } of blocks) {
      this.#expect(firstOrdinal === next, `a block starts at ${firstOrdinal} instead of ${next}`);
      for (const { ordinal } of payloads) {
        this.#expect(ordinal === next, `record ${ordinal} stands where ${next} belongs`);
        next += 1;
      }
    }
    const { last } = this.#lane.history;
    this.#expect(next === Number(last) + 1, `records end before ${next}, the lane at ${last}`);
  }

  #checkRuns(blocks: readonly KeptBlock[]): void {
    for (const { firstOrdinal, run } of blocks) {
      const noted = runAt(this.#lane.history, BigInt(firstOrdinal));
      this.#expect(noted === run, `ordinal ${firstOrdinal} was written by ${run}, noted is ${noted}`);
    }
  }

  /** Of each caller exactly the values of its newest calls: no call's value without its records, or the other way. */
  async #checkSides(payloads: readonly Payload[]): Promise<void> {
    const newest = new Map<string, Payload>();
    for (const payload of payloads) newest.set(payload.caller, payload);
    for (const [caller, { call, index, count, ordinal }] of newest) {
      this.#expect(index === count - 1, `call ${call} of ${caller} is there in part`);
      const found: string[] = [];
      for await (const entry of this.#store.meta.list(`id/${caller}/`)) {
        found.push(`${entry.key}=${Buffer.from(entry.value).toString()}`);
      }
      const calls = Array.from(
        { length: Math.min(SIDE_CALLS_KEPT, call) },
        (_, back) => call - back,
      ).toReversed();
      const keys = calls.map((one) => sideKey(caller, one));
      const isRight =
        found.length === keys.length &&
        found.every((text, at) => text.startsWith(`${keys[at]}=`)) &&
        found.at(-1) === `${sideKey(caller, call)}=${ordinal}`;
      this.#expect(
        isRight,
        `behind call ${call} (${ordinal}) of ${caller} lie the side values ${found.join(' ')}`,
      );
    }
  }

  #between(what: string, found: number, least: number, most: number): void {
    this.#expect(found >= least && found <= most, `${what} ${found}, expected ${least}..${most}`);
  }

  #expect(holds: boolean, text: string): void {
    this.#problems.expect(holds, () => `lane ${this.#key}: ${text}`);
  }
}

async function goOn(local: LocalLog, key: string, lane: LocalLane, problems: Problems): Promise<void> {
  const ordinal = Number(lane.history.last) + 1;
  const payload = { caller: `${key}/after`, call: 1, count: 1, index: 0, ordinal, bytes: 20 };
  const name = { stream: lane.stream, class: lane.class, forward: lane.forward };
  const note = Buffer.from(noteOf(payload));
  await local.append(name, [{ partitionKey: key, data: encodePayload(payload) }], { note });
  const block = await lane.readBlock(BigInt(ordinal));
  problems.expect(block !== null, () => `lane ${key}: what is appended at ${ordinal} cannot be read`);
}
