// One lane of a session at the gateway: where the server stands, what is under way, and the next block to send.
import { canMerge, mergeBlocks } from '../stream/block-cut.ts';
import { decodeBlock } from '../stream/block.ts';
import { BLOCK_HEADER_BYTES, parseHeader } from '../stream/block-header.ts';
import type { BlockHeader } from '../stream/block-header.ts';
import { isTributaryError } from '../stream/errors.ts';
import { BLOCK_BYTES_TARGET } from '../stream/limits.ts';
import type { Codec, Digest } from '../stream/ports.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { UplinkLane } from './ports.ts';
import type { ServerMessage } from './protocol.ts';
import { decideResume } from './resume.ts';
import type { Sent } from './window.ts';

interface InFlight {
  readonly last: bigint;
  readonly sent: Sent;
}

interface Prepared {
  readonly block: Uint8Array;
  readonly first: bigint;
  readonly last: bigint;
}

/** How blocks go out. */
export interface Wire {
  /** Codecs this program reads. */
  readonly codecs: readonly Codec[];
  /** Codecs the server reads. */
  readonly takes: readonly number[];
  /** Of blocks that are made for the wire; one that the server reads. */
  readonly compression: Codec | undefined;
}

/** The preferred codec where the server reads it, else the first of ours that it does. */
export function wireOf(
  codecs: readonly Codec[],
  preferred: Codec | undefined,
  takes: readonly number[],
): Wire {
  const known = codecs.filter(({ id }) => takes.includes(id));
  const compression =
    preferred === undefined ? undefined : (known.find(({ id }) => id === preferred.id) ?? known[0]);
  return { codecs, takes, compression };
}

type LaneState = Extract<ServerMessage, { type: 'laneState' }>;

export class LaneLink {
  readonly index: number;
  readonly lane: UplinkLane;
  status: 'opening' | 'ready' | 'refused' = 'opening';
  /** Last ordinal sent in this session. */
  sent = 0n;
  #inFlight: InFlight[] = [];
  /** Last ordinal of a block that cannot be read, and what is in front of it is not acknowledged yet. */
  #damagedTo = 0n;
  readonly #digest: Digest;
  readonly #wire: Wire;
  #prepared: Prepared | null = null;
  #acknowledged = 0n;
  #announced = 0n;

  constructor(index: number, lane: UplinkLane, digest: Digest, wire: Wire) {
    this.index = index;
    this.lane = lane;
    this.#digest = digest;
    this.#wire = wire;
  }

  /** Records up to here cannot be sent. A damaged block counts when all before it has arrived. */
  get from(): bigint {
    const evicted = this.lane.firstKept - 1n;
    const damaged = this.#inFlight.length === 0 ? this.#damagedTo : 0n;
    return [evicted, this.lane.base, damaged].reduce((a, b) => (a > b ? a : b));
  }

  get hasUnsent(): boolean {
    return this.status === 'ready' && this.lane.history.last > this.sent;
  }

  /** Something between what was sent and what is kept was evicted: the server must be told. */
  get hasGap(): boolean {
    return this.status === 'ready' && this.sent < this.from;
  }

  openMessage(): object {
    this.status = 'opening';
    this.#prepared = null;
    this.#announced = this.from;
    const { stream, class: recordClass, incarnation, base } = this.lane;
    return {
      type: 'lane',
      lane: this.index,
      stream,
      class: recordClass,
      incarnation,
      base,
      from: this.#announced,
    };
  }

  /** What became of the lane. After `forked` and `moved` it must be opened again. */
  async opened(state: LaneState): Promise<'ready' | 'rewound' | 'forked' | 'moved' | 'stale'> {
    if (state.incarnation !== this.lane.incarnation || this.status !== 'opening') return 'stale';
    const runs = state.runs.map(({ run, first }) => ({ run, firstOrdinal: first }));
    const lastMatches = await this.#matches(state);
    const { history, acknowledged } = this.lane;
    // Evicting goes on meanwhile: what is announced must be what is kept.
    if (this.from > this.#announced) return 'moved';
    const resume = decideResume(history, this.from, { last: state.last, runs, lastMatches }, acknowledged);
    if (resume.kind === 'fork') {
      await this.lane.startIncarnation(resume.base);
      return 'forked';
    }
    const isRewound = resume.after < this.lane.acknowledged;
    this.sent = resume.after;
    this.status = 'ready';
    this.#settle(resume.after);
    return isRewound ? 'rewound' : 'ready';
  }

  /** The next block, merged with small neighbours; null when there is none. Stays the same until it is taken. */
  async peek(): Promise<Uint8Array | null> {
    if (this.#prepared?.first === this.sent + 1n) return this.#prepared.block;
    this.#prepared = await this.#prepare(this.sent + 1n);
    return this.#prepared?.block ?? null;
  }

  /** The peeked block goes out. */
  take(sent: Sent): void {
    const taken = this.#prepared;
    if (taken === null) return;
    this.#prepared = null;
    this.sent = taken.last;
    this.#inFlight.push({ last: taken.last, sent });
  }

  /** What `ordinal` acknowledges. */
  acknowledged(ordinal: bigint): Sent[] {
    const open = this.#inFlight.findIndex((block) => block.last > ordinal);
    const done = this.#inFlight.splice(0, open === -1 ? this.#inFlight.length : open).map(({ sent }) => sent);
    // A repeated block may be answered with less than is under way.
    if (ordinal > this.#acknowledged) this.#settle(ordinal);
    return done;
  }

  #settle(ordinal: bigint): void {
    this.#acknowledged = ordinal;
    this.lane.acknowledge(ordinal);
  }

  async #prepare(first: bigint): Promise<Prepared | null> {
    const block = await this.#read(first);
    if (block === null) return null;
    const header = parseHeader(block);
    // Evicted in between: the gap is told before anything is sent.
    if (header.firstOrdinal !== first) return null;
    const parts = [block];
    // As they are without their codec: what is merged is inflated here, and must fit a server that has none.
    let bytes = plainBytes(header);
    let newest = header;
    while (bytes < BLOCK_BYTES_TARGET) {
      const next = await this.#read(newest.firstOrdinal + BigInt(newest.recordCount));
      if (next === null) break;
      const nextHeader = parseHeader(next);
      if (bytes + plainBytes(nextHeader) > BLOCK_BYTES_TARGET || !canMerge(newest, nextHeader)) break;
      parts.push(next);
      bytes += plainBytes(nextHeader);
      newest = nextHeader;
    }
    const isAsIs = parts.length === 1 && this.#takes(header);
    return {
      block: isAsIs ? block : this.#made(parts),
      first,
      last: newest.firstOrdinal + BigInt(newest.recordCount) - 1n,
    };
  }

  #takes({ codec }: BlockHeader): boolean {
    return codec === 0 || this.#wire.takes.includes(codec);
  }

  /** One block of the wire's codec. */
  #made(parts: readonly Uint8Array[]): Uint8Array {
    const { codecs, compression } = this.#wire;
    return mergeBlocks(parts, this.#digest, { from: codecs, to: compression });
  }

  /** Null for a damaged block too: it is left out when all before it has arrived, and the server told of the gap. */
  async #read(ordinal: bigint): Promise<Uint8Array | null> {
    try {
      return await this.lane.readBlock(ordinal);
    } catch (error) {
      if (!isTributaryError(error)) throw error;
      const last = error.details['lastOrdinal'];
      if (typeof last !== 'bigint') throw error;
      // Only the next block is left out; one further on has its turn when it is the next.
      if (ordinal === this.sent + 1n) this.#damagedTo = last;
      return null;
    }
  }

  /** Is the server's last record ours? True when nobody can tell. */
  async #matches({ last, fingerprint }: LaneState): Promise<boolean> {
    const { firstKept, history } = this.lane;
    if (fingerprint === null || last < firstKept || last > history.last) return true;
    const block = await this.#read(last);
    const record =
      block === null ? undefined : decodeBlock(block, this.#digest, this.#wire.codecs, 0, 1).records[0];
    return record === undefined || fingerprintOf(record, this.#digest) === fingerprint;
  }
}

function plainBytes({ rawLength }: BlockHeader): number {
  return BLOCK_HEADER_BYTES + rawLength;
}
