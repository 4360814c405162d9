// The one way in: a payload from any source is routed, decoded by its profile and appended; resolved means durable.
import { quarantineRecord } from '../devices/profile.ts';
import type { Profile } from '../devices/profile.ts';
import { TributaryError } from '../stream/errors.ts';
import type { Clock, Digest, MetaChange } from '../stream/ports.ts';
import type { RecordClass, RecordInput } from '../stream/record.ts';
import { findRoute } from './routes.ts';
import type { Route, RouteSource } from './routes.ts';

/** The log below. Durable when resolved; throws what ShardLog.append throws. */
export interface IntakeLog {
  append(
    stream: string,
    recordClass: RecordClass,
    records: readonly RecordInput[],
    changes: readonly MetaChange[],
  ): Promise<void>;
}

export interface IntakeItem {
  readonly source: RouteSource;
  readonly payload: Uint8Array;
  /** Profile of the source itself; the route's wins. Without either the payload is kept as it is. */
  readonly profile?: string;
  /** Becomes durable in the same commit as the records. */
  readonly side?: readonly MetaChange[];
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
}

const DEFAULT_PROFILE = 'raw';

export class Intake {
  readonly #parts: IntakeParts;
  #records = 0;
  #quarantined = 0;

  /** Throws CONFIG_INVALID when a route names a profile that does not exist. */
  constructor(parts: IntakeParts) {
    this.#parts = parts;
    for (const { match, profile } of parts.routes) {
      if (profile !== undefined) requireProfile(parts.profiles, profile, `route ${match}`);
    }
  }

  /** What has become durable since the start. */
  get counts(): IntakeCounts {
    return { records: this.#records, quarantined: this.#quarantined };
  }

  hasProfile(name: string): boolean {
    return this.#parts.profiles.has(name);
  }

  /** Resolves when the payload is durable, as records or in quarantine. */
  async accept(item: IntakeItem): Promise<void> {
    const { log, routes, profiles, clock, digest } = this.#parts;
    const route = findRoute(routes, item.source);
    const name = route.profile ?? item.profile ?? DEFAULT_PROFILE;
    const profile = requireProfile(profiles, name, `source ${item.source.name}`);
    const context = { source: item.source.name, nowMs: clock.wallMs() };
    const decoded = profile.decode(item.payload, context);
    const changes = item.side ?? [];
    if (decoded.kind === 'quarantine') {
      const refusal = { ...context, reason: decoded.reason, payload: item.payload };
      await log.append(
        `${route.stream}.quarantine`,
        route.class,
        [quarantineRecord(refusal, digest)],
        changes,
      );
      this.#quarantined += 1;
      return;
    }
    // A profile may find nothing to record; what must be remembered beside it waits for the next commit then.
    if (decoded.records.length === 0 && changes.length === 0) return;
    await log.append(route.stream, route.class, decoded.records, changes);
    this.#records += decoded.records.length;
  }
}

function requireProfile(profiles: ReadonlyMap<string, Profile>, name: string, where: string): Profile {
  const profile = profiles.get(name);
  if (profile !== undefined) return profile;
  const known = [...profiles.keys()].join(', ');
  throw new TributaryError('CONFIG_INVALID', `${where} names the profile ${name}; there are ${known}`);
}
