// The gateways of this server: who they are, which of them is connected, and which copy of a disk may speak for one.
import { randomBytes } from 'node:crypto';
import { TributaryError } from '../../stream/errors.ts';
import type { Clock, Log, Meta } from '../../stream/ports.ts';
import type { Sealer } from '../../runtime/key-provider.ts';
import type { GatewayEvent, SessionDirectory, SessionGrant } from '../../sync/ports.ts';
import {
  GATEWAY_PREFIX,
  NO_NOTES,
  NOTES_PREFIX,
  decodeNotes,
  encodeNotes,
  openRow,
  sealRow,
} from './gateway-row.ts';
import type { GatewayNotes, GatewayRow } from './gateway-row.ts';
import { Gateway } from './gateway.ts';
import type { GatewayView, LiveSession } from './gateway.ts';
import { matchesAny } from './stream-pattern.ts';

const TOKEN_BYTES = 32;
/** How long an older session may take to stop writing before its gateway is told to try again. */
const TAKE_OVER_MS = 10_000;

const CLONED =
  "a copy of this gateway's disk tried to connect while the gateway was connected; enrol the copy anew";
const RESTORED = 'it came back with a token of the past: its disk was restored or copied';

export interface Enrolment {
  readonly id: string;
  readonly name: string;
  /** SPKI, DER, base64. */
  readonly publicKey: string;
  readonly allowedStreams: readonly string[];
}

export interface RegistryOptions {
  readonly gatewaysMax: number;
  readonly takeOverMs?: number;
  /** What gateways sent, for the metrics. */
  readonly onReceived?: (records: number, bytes: number) => void;
}

export class GatewayRegistry implements SessionDirectory {
  readonly #meta: Meta;
  readonly #sealer: Sealer;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #options: RegistryOptions;
  readonly #gateways = new Map<string, Gateway>();

  private constructor(meta: Meta, sealer: Sealer, clock: Clock, log: Log, options: RegistryOptions) {
    this.#meta = meta;
    this.#sealer = sealer;
    this.#clock = clock;
    this.#log = log;
    this.#options = options;
  }

  static async open(
    meta: Meta,
    sealer: Sealer,
    clock: Clock,
    log: Log,
    options: RegistryOptions,
  ): Promise<GatewayRegistry> {
    const registry = new GatewayRegistry(meta, sealer, clock, log, options);
    const notes = new Map<string, GatewayNotes>();
    for await (const { key, value } of meta.list(NOTES_PREFIX))
      notes.set(key.slice(NOTES_PREFIX.length), decodeNotes(value));
    for await (const { key, value, revision } of meta.list(GATEWAY_PREFIX)) {
      const row = openRow(key, value, sealer);
      registry.#gateways.set(row.id, new Gateway(row, revision, notes.get(row.id) ?? NO_NOTES));
    }
    return registry;
  }

  /** By name, then id. */
  list(): GatewayView[] {
    const nowMs = this.#clock.wallMs();
    const views = [...this.#gateways.values()].map((gateway) => gateway.view(nowMs));
    return views.toSorted((a, b) => compare(a.name, b.name) || compare(a.id, b.id));
  }

  get onlineCount(): number {
    return [...this.#gateways.values()].filter(({ live }) => live !== null).length;
  }

  get isFull(): boolean {
    return this.#gateways.size >= this.#options.gatewaysMax;
  }

  find(id: string): GatewayRow | undefined {
    return this.#gateways.get(id)?.row;
  }

  publicKeyOf(id: string): Promise<Uint8Array | null> {
    const row = this.find(id);
    return Promise.resolve(row === undefined ? null : Buffer.from(row.publicKey, 'base64'));
  }

  /** The gateway of that id, made when it is not there. Durable when resolved. */
  async enrol({ id, name, publicKey, allowedStreams }: Enrolment): Promise<GatewayRow> {
    const known = this.find(id);
    if (known !== undefined) return known;
    const row: GatewayRow = {
      id,
      name,
      publicKey,
      token: newToken(),
      previousToken: null,
      allowedStreams: [...allowedStreams],
      createdAtMs: this.#clock.wallMs(),
      programVersion: '',
      connectionEpoch: 0,
    };
    const revision = await this.#meta.put(GATEWAY_PREFIX + id, sealRow(row, this.#sealer), 'absent');
    this.#gateways.set(id, new Gateway(row, revision, NO_NOTES));
    this.#log.notice('gateway enrolled', { gateway: id, name });
    return row;
  }

  /** Ends its session and forgets it: it must be enrolled anew. False: there is none. */
  async remove(id: string): Promise<boolean> {
    const gateway = this.#gateways.get(id);
    if (gateway === undefined) return false;
    return gateway.turns.run(async () => {
      if (gateway.isRemoved) return false;
      await this.#endLive(gateway);
      await this.#meta.del(GATEWAY_PREFIX + id, gateway.revision);
      gateway.isRemoved = true;
      this.#gateways.delete(id);
      this.#meta.putLazy(NOTES_PREFIX + id, null);
      this.#log.notice('gateway removed', { gateway: id });
      return true;
    });
  }

  begin(
    id: string,
    token: string,
    programVersion: string,
    takeOver: () => Promise<void>,
  ): Promise<SessionGrant> {
    const gateway = this.#gateways.get(id);
    if (gateway === undefined) return Promise.reject(unknown(id));
    return gateway.turns.run(() => this.#begin(gateway, token, programVersion, takeOver));
  }

  async #begin(
    gateway: Gateway,
    token: string,
    programVersion: string,
    takeOver: () => Promise<void>,
  ): Promise<SessionGrant> {
    if (gateway.isRemoved) throw unknown(gateway.row.id);
    const isKnown = gateway.knowsToken(token);
    if (!isKnown && gateway.live !== null) {
      this.#report(gateway, { kind: 'cloned', message: CLONED });
      throw new TributaryError('GATEWAY_CLONED', CLONED);
    }
    await this.#endLive(gateway);
    const row: GatewayRow = {
      ...gateway.row,
      token: newToken(),
      previousToken: token,
      programVersion,
      connectionEpoch: gateway.row.connectionEpoch + 1,
    };
    // Durable before the gateway hears of it: a token it kept and we lost would look like a copy's.
    gateway.revision = await this.#meta.put(
      GATEWAY_PREFIX + row.id,
      sealRow(row, this.#sealer),
      gateway.revision,
    );
    gateway.row = row;
    const live = { epoch: row.connectionEpoch, takeOver };
    gateway.live = live;
    gateway.seen(this.#clock.wallMs());
    if (!isKnown) this.#report(gateway, { kind: 'restored', message: RESTORED });
    return this.#grant(gateway, live, row);
  }

  #grant(gateway: Gateway, live: LiveSession, row: GatewayRow): SessionGrant {
    const isCurrent = (): boolean => gateway.live === live && !gateway.isRemoved;
    return {
      gateway: row.id,
      token: row.token,
      configVersion: 0,
      confirm: () => {
        if (!isCurrent()) return;
        gateway.notes = { ...gateway.notes, confirmedEpoch: live.epoch };
        this.#keepNotes(gateway);
      },
      mayFeed: (stream) => isCurrent() && matchesAny(row.allowedStreams, stream),
      report: (event) => this.#report(gateway, event),
      status: (backlog) => {
        if (!isCurrent()) return;
        if (gateway.setBacklog(backlog, this.#clock.wallMs())) this.#keepNotes(gateway);
      },
      received: (records, bytes) => {
        const nowMs = this.#clock.wallMs();
        gateway.notes = { ...gateway.notes, lastSeenAtMs: nowMs, lastBatchAtMs: nowMs };
        this.#options.onReceived?.(records, bytes);
      },
      end: () => {
        if (!isCurrent()) return;
        gateway.live = null;
        gateway.seen(this.#clock.wallMs());
        this.#keepNotes(gateway);
      },
    };
  }

  async #endLive(gateway: Gateway): Promise<void> {
    const { live } = gateway;
    if (live === null) return;
    await withinBound(live.takeOver(), this.#options.takeOverMs ?? TAKE_OVER_MS);
    gateway.live = null;
  }

  #report(gateway: Gateway, event: GatewayEvent): void {
    if (gateway.isRemoved) return;
    const isNew = gateway.addEvent(event, this.#clock.wallMs());
    this.#keepNotes(gateway);
    if (isNew) this.#log.warn('gateway event', { gateway: gateway.row.id, ...event });
  }

  #keepNotes(gateway: Gateway): void {
    this.#meta.putLazy(NOTES_PREFIX + gateway.row.id, encodeNotes(gateway.notes));
  }
}

export function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url');
}

async function withinBound(ending: Promise<void>, boundMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new TributaryError('BUSY', 'the earlier session of this gateway is still ending; try again'));
    }, boundMs);
  });
  try {
    await Promise.race([ending, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

function unknown(id: string): TributaryError {
  return new TributaryError('GATEWAY_UNKNOWN', `there is no gateway ${id} here; enrol it`);
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
