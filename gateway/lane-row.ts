// What the gateway remembers of a lane beside its blocks, each under a key of its own, because each changes for its own
// reason: the name never, the runs with the first append of a start, the incarnation when the histories have parted.
import type { LaneRun } from '../stream/lane.ts';
import type { RecordClass } from '../stream/record.ts';

export interface LaneName {
  readonly stream: string;
  readonly class: RecordClass;
  /** False: the records stay here. */
  readonly forward: boolean;
}

export interface Incarnation {
  /** UUID. */
  readonly id: string;
  /** Last ordinal that belongs to the incarnation before; 0 for the first. */
  readonly base: bigint;
}

export const LANE_PREFIX = 'lane/';
export const RUNS_PREFIX = 'runs/';
export const INCARNATION_PREFIX = 'incarnation/';
export const CURSOR_PREFIX = 'cursor/';
export const EVICTED_PREFIX = 'evicted/';
/** What nothing else can tell. A lost cursor costs a question to the server; written twice it would cost the card a page. */
export const LANE_PREFIXES = [LANE_PREFIX, RUNS_PREFIX, INCARNATION_PREFIX];

/** Unique in this gateway: stream names have no slash. */
export function laneKeyOf({ stream, class: recordClass, forward }: LaneName): string {
  return `${stream}/${recordClass}${forward ? '' : '/local'}`;
}

export function encodeLaneName(name: LaneName): Uint8Array {
  return encode(name);
}

export function decodeLaneName(value: Uint8Array): LaneName {
  return decode<LaneName>(value);
}

export function encodeRuns(runs: readonly LaneRun[]): Uint8Array {
  return encode(runs.map(({ run, firstOrdinal }) => [run, firstOrdinal.toString()]));
}

export function decodeRuns(value: Uint8Array): LaneRun[] {
  return decode<[string, string][]>(value).map(([run, first]) => ({ run, firstOrdinal: BigInt(first) }));
}

export function encodeIncarnation({ id, base }: Incarnation): Uint8Array {
  return encode({ id, base: base.toString() });
}

export function decodeIncarnation(value: Uint8Array): Incarnation {
  const { id, base } = decode<{ id: string; base: string }>(value);
  return { id, base: BigInt(base) };
}

export function encodeCount(count: bigint | number): Uint8Array {
  return Buffer.from(count.toString());
}

export function decodeCount(value: Uint8Array): bigint {
  return BigInt(Buffer.from(value).toString('utf8'));
}

function encode(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** Rows come from our own disk only. */
function decode<T>(value: Uint8Array): T {
  return JSON.parse(Buffer.from(value).toString('utf8')) as T;
}
