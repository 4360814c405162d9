// The one way in: a payload from any source is routed, decoded by its profile and appended; resolved means durable.
import { QUARANTINE_PAYLOAD_BYTES_MAX, quarantineRecord } from '../devices/profile.ts';
import type { Profile, Refusal } from '../devices/profile.ts';
import { TributaryError } from '../stream/errors.ts';
import { RECORD_BYTES_MAX } from '../stream/limits.ts';
import type { Clock, Digest, MetaChange } from '../stream/ports.ts';
import { recordBytes } from '../stream/record.ts';
import type { RecordInput } from '../stream/record.ts';
import type { LaneName } from './lane-row.ts';
import { findRoute } from './routes.ts';
import type { Route, RouteSource } from './routes.ts';

/** The log below. Durable when resolved, in the order of the calls; throws what ShardLog.append throws. */
export interface IntakeLog {
  append(lane: LaneName, records: readonly RecordInput[], beside: Beside): Promise<void>;
}

/** What becomes durable in the same commit as the records. */
export interface Beside {
  readonly side?: readonly MetaChange[];
  /** Kept with the records for as long as they are here. */
  readonly note?: Uint8Array;
  /** How long the source can wait for the log to fill a commit; absent: as long as the log likes. */
  readonly lingerMsMax?: number;
}

/** What a payload came from and how to read it. */
export interface IntakeOrigin {
  readonly source: RouteSource;
  /** Profile of the source itself; the route's wins. Without either the payload is kept as it is. */
  readonly profile?: string;
}

export interface IntakeItem extends IntakeOrigin, Beside {
  readonly payload: Uint8Array;
}

/** Decoded records of one stream, to be appended together or not at all. */
export interface PreparedAppend {
  readonly lane: LaneName;
  readonly isQuarantine: boolean;
  readonly records: readonly RecordInput[];
}

export interface IntakeParts {
  readonly log: IntakeLog;
  readonly routes: readonly Route[];
  readonly profiles: ReadonlyMap<string, Profile>;
  readonly clock: Clock;
  readonly digest: Digest;
}

export interface IntakeCounts {
  readonly records: number;
  readonly quarantined: number;
  /** Data of all of them. */
  readonly payloadBytes: number;
}

const DEFAULT_PROFILE = 'raw';
const ROUTES_MAX = 10_000;

export class Intake {
  readonly #parts: IntakeParts;
  /** Routes of sources seen before: topics repeat, and the list may have a thousand entries. */
  readonly #routes = new Map<string, Omit<Route, 'match'>>();
  #recordCount = 0;
  #quarantinedCount = 0;
  #payloadBytes = 0;

  /** Throws CONFIG_INVALID when a route names a profile that does not exist. */
  constructor(parts: IntakeParts) {
    this.#parts = parts;
    for (const { match, profile } of parts.routes) {
      if (profile !== undefined) requireProfile(parts.profiles, profile, `route ${match}`);
    }
  }

  /** What has become durable since the start. */
  get counts(): IntakeCounts {
    return {
      records: this.#recordCount,
      quarantined: this.#quarantinedCount,
      payloadBytes: this.#payloadBytes,
    };
  }

  hasProfile(name: string): boolean {
    return this.#parts.profiles.has(name);
  }

  /**
   * Resolves when the payload is durable, as records or in quarantine. Concurrent calls are appended in their order.
   * Throws RECORD_TOO_LARGE for what the log could not hold whole: nothing of it is kept then, the sender keeps it.
   */
  async accept(item: IntakeItem): Promise<void> {
    await this.append(this.prepare(item, item.payload), item);
  }

  /** Decodes now, so that a reading keeps the time it came in at however long it waits for the disk. */
  prepare({ source, profile }: IntakeOrigin, payload: Uint8Array): PreparedAppend {
    const { profiles, clock } = this.#parts;
    const route = this.#routeOf(source);
    const name = route.profile ?? profile ?? DEFAULT_PROFILE;
    const context = { source: source.name, nowMs: clock.wallMs() };
    const decoded = requireProfile(profiles, name, `source ${source.name}`).decode(payload, context);
    const { stream, forward } = route;
    const lane = { stream, class: route.class, forward };
    if (decoded.kind === 'records') return { lane, isQuarantine: false, records: decoded.records };
    const records = [this.#quarantined({ ...context, reason: decoded.reason, payload })];
    return { lane: { ...lane, stream: `${stream}.quarantine` }, isQuarantine: true, records };
  }

  /** Durable when resolved, with what is beside it in the same commit. */
  async append({ lane, records, isQuarantine }: PreparedAppend, beside: Beside = {}): Promise<void> {
    // A profile may find nothing to record: then there is nothing to remember beside it either.
    if (records.length === 0) return;
    for (const record of records) checkSize(record, lane.stream);
    await this.#parts.log.append(lane, records, beside);
    if (isQuarantine) this.#quarantinedCount += records.length;
    else this.#recordCount += records.length;
    for (const { data } of records) this.#payloadBytes += data.length;
  }

  #quarantined(refusal: Refusal): RecordInput {
    const { length } = refusal.payload;
    if (length <= QUARANTINE_PAYLOAD_BYTES_MAX) return quarantineRecord(refusal, this.#parts.digest);
    throw new TributaryError(
      'RECORD_TOO_LARGE',
      `${refusal.reason}, and its ${length} bytes are too many for quarantine, which keeps ${QUARANTINE_PAYLOAD_BYTES_MAX}`,
    );
  }

  #routeOf(source: RouteSource): Omit<Route, 'match'> {
    const key = `${source.kind} ${source.name}`;
    const known = this.#routes.get(key);
    if (known !== undefined) return known;
    const route = findRoute(this.#parts.routes, source);
    if (this.#routes.size >= ROUTES_MAX) this.#routes.clear();
    this.#routes.set(key, route);
    return route;
  }
}

function checkSize(record: RecordInput, stream: string): void {
  const bytes = recordBytes(record);
  if (bytes <= RECORD_BYTES_MAX) return;
  throw new TributaryError(
    'RECORD_TOO_LARGE',
    `a record for ${stream} has ${bytes} bytes with its key, at most ${RECORD_BYTES_MAX} are kept; send it in parts`,
  );
}

function requireProfile(profiles: ReadonlyMap<string, Profile>, name: string, where: string): Profile {
  const profile = profiles.get(name);
  if (profile !== undefined) return profile;
  const known = [...profiles.keys()].join(', ');
  throw new TributaryError('CONFIG_INVALID', `${where} names the profile ${name}; there are ${known}`);
}
