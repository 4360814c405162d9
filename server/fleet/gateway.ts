// One gateway as the registry holds it: its row, its notes, what it last said of itself, and its live session.
import { timingSafeEqual, createHash } from 'node:crypto';
import type { Backlog, GatewayEvent } from '../../sync/ports.ts';
import { withEvent } from './event-log.ts';
import type { GatewayNotes, GatewayRow, KeptEvent } from './gateway-row.ts';
import { Turns } from './turns.ts';

export interface LiveSession {
  readonly epoch: number;
  takeOver(): Promise<void>;
}

/** As the fleet API shows it. */
export interface GatewayView {
  readonly id: string;
  readonly name: string;
  readonly isOnline: boolean;
  readonly lastSeenAtMs: number | null;
  readonly lastBatchAtMs: number | null;
  /**
   * As the gateway reported it last. Of one that is offline the oldest record has grown older since: the age is the
   * report's and the time since; whether it was acknowledged between the report and the end of the session is not known.
   */
  readonly backlog: Backlog;
  readonly programVersion: string;
  readonly allowedStreams: readonly string[];
  readonly createdAtMs: number;
  readonly events: readonly KeptEvent[];
}

const NOTHING_WAITS: Backlog = { records: 0, bytes: 0, oldestUnsentMs: null, evictedRecords: 0 };

export class Gateway {
  row: GatewayRow;
  revision: bigint;
  notes: GatewayNotes;
  live: LiveSession | null = null;
  isRemoved = false;
  readonly turns = new Turns();
  #backlog: Backlog = NOTHING_WAITS;
  #backlogAtMs = 0;

  constructor(row: GatewayRow, revision: bigint, notes: GatewayNotes) {
    this.row = row;
    this.revision = revision;
    this.notes = notes;
    this.#backlog = { ...NOTHING_WAITS, evictedRecords: notes.evictedRecords };
  }

  /** The token it was given last, or the one before while it has not confirmed that one. */
  knowsToken(token: string): boolean {
    const { row, notes } = this;
    const isConfirmed = notes.confirmedEpoch === row.connectionEpoch;
    const isPrevious = !isConfirmed && row.previousToken !== null && equal(token, row.previousToken);
    return equal(token, row.token) || isPrevious;
  }

  /** True when it is the first of its kind. */
  addEvent(event: GatewayEvent, nowMs: number): boolean {
    this.notes = { ...this.notes, events: withEvent(this.notes.events, event, nowMs) };
    return this.notes.events.at(-1)?.count === 1;
  }

  seen(nowMs: number): void {
    this.notes = { ...this.notes, lastSeenAtMs: nowMs };
  }

  /** True when something changed that should outlive the server. */
  setBacklog(backlog: Backlog, nowMs: number): boolean {
    this.#backlog = backlog;
    this.#backlogAtMs = nowMs;
    const { evictedRecords } = this.notes;
    this.notes = { ...this.notes, lastSeenAtMs: nowMs, evictedRecords: backlog.evictedRecords };
    return evictedRecords !== backlog.evictedRecords;
  }

  view(nowMs: number): GatewayView {
    const { row, notes } = this;
    const { oldestUnsentMs } = this.#backlog;
    // What waited when it last spoke has waited since. While it is connected it says so itself every few seconds.
    const sinceMs = this.live === null ? Math.max(0, nowMs - this.#backlogAtMs) : 0;
    return {
      id: row.id,
      name: row.name,
      isOnline: this.live !== null,
      lastSeenAtMs: notes.lastSeenAtMs,
      lastBatchAtMs: notes.lastBatchAtMs,
      backlog: {
        ...this.#backlog,
        oldestUnsentMs: oldestUnsentMs === null ? null : oldestUnsentMs + sinceMs,
      },
      programVersion: row.programVersion,
      allowedStreams: row.allowedStreams,
      createdAtMs: row.createdAtMs,
      events: notes.events,
    };
  }
}

function equal(a: string, b: string): boolean {
  return timingSafeEqual(sha256(a), sha256(b));
}

function sha256(text: string): Uint8Array {
  return createHash('sha256').update(text).digest();
}
