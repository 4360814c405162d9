// What the two halves of the link need of the programs around them.
import type { KeyObject } from 'node:crypto';
import type { LaneHistory } from '../stream/lane.ts';
import type { AppendResult, LaneAppend, LaneState } from '../stream/ports.ts';
import type { RecordClass } from '../stream/record.ts';

/** The edge half: one numbered sequence of records of a (stream, class), as the uplink sees it. */
export interface UplinkLane {
  readonly stream: string;
  readonly class: RecordClass;
  /** Tells the sequences apart that share ordinals: it changes when the histories of both sides have parted. */
  readonly incarnation: string;
  /** Last ordinal that belongs to the incarnation before; 0 for the first. */
  readonly base: bigint;
  readonly history: LaneHistory;
  /** Ordinal of the oldest record that is still here; `history.last + 1` when none is. */
  readonly firstKept: bigint;
  /** Everything up to here was durable at the server once. */
  readonly acknowledged: bigint;
  /**
   * The block that holds `ordinal`, cut so that it starts there; null when nothing is there yet. Of a damaged block it
   * throws BLOCK_*, with its last ordinal in `details.lastOrdinal`.
   */
  readBlock(ordinal: bigint): Promise<Uint8Array | null>;
  /** Smaller than before when the server lost records. Rides in the next commit: losing it costs a resend. */
  acknowledge(ordinal: bigint): void;
  /** Starts a new incarnation behind `base`. Durable when resolved. */
  startIncarnation(base: bigint): Promise<void>;
}

export interface Backlog {
  readonly records: number;
  readonly bytes: number;
  readonly oldestUnsentMs: number | null;
  readonly evictedRecords: number;
}

export interface UplinkSource {
  /** Grows; never re-ordered. */
  lanes(): readonly UplinkLane[];
  backlog(): Promise<Backlog>;
  /** Calls back after every durable append until the returned function is called. */
  onAppended(listener: () => void): () => void;
}

/** What the gateway keeps of its enrolment; durable when `saveToken` resolves. */
export interface GatewayIdentity {
  readonly gateway: string;
  readonly privateKey: KeyObject;
  /** SPKI, DER. */
  readonly serverPublicKey: Uint8Array;
  readonly serverUrl: string;
  /** What to present at the next hello. */
  currentToken(): string;
  saveToken(token: string): Promise<void>;
}

/** The central half: a gateway that has proved who it is. */
export interface SessionGrant {
  readonly gateway: string;
  /** What the gateway presents next time. Durable at the server. */
  readonly token: string;
  readonly configVersion: number;
  /** The gateway has made the token durable. */
  confirm(): void;
  /** Its stream patterns allow this stream. */
  mayFeed(stream: string): boolean;
  /** Something an operator should know; kept with the gateway and shown by the fleet API. */
  report(event: GatewayEvent): void;
  status(status: Backlog): void;
  received(records: number, bytes: number): void;
  /** The session is over. Idempotent. */
  end(): void;
}

export interface GatewayEvent {
  readonly kind: 'cloned' | 'restored' | 'forked' | 'gap' | 'rewound' | 'refused';
  readonly message: string;
}

export interface SessionDirectory {
  /** SPKI, DER; null: no such gateway. */
  publicKeyOf(gateway: string): Promise<Uint8Array | null>;
  /**
   * Ends a session of the same gateway that is still there (`takeOver` of the old one is called and awaited), rolls
   * the token and makes it durable. Throws GATEWAY_CLONED for a token of the past while a session is alive.
   */
  begin(
    gateway: string,
    token: string,
    programVersion: string,
    takeOver: () => Promise<void>,
  ): Promise<SessionGrant>;
}

/** Where the blocks of one lane go. Follows its shard when that is split or merged. */
export interface IngestLane {
  state(): Promise<LaneState | null>;
  /** Throws what ShardLog.append throws. */
  append(block: Uint8Array, recordCount: number, lane: Omit<LaneAppend, 'lane'>): Promise<AppendResult>;
}

export interface IngestTarget {
  /** Creates the stream when it is not there. */
  openLane(stream: string, lane: string): Promise<IngestLane>;
}
