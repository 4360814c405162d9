// One session for each gateway: rolls its token, tells copies of its disk from it, and gives the session its rights.
import { randomBytes } from 'node:crypto';
import { TributaryError } from '../../stream/errors.ts';
import type { Clock, Log, Meta } from '../../stream/ports.ts';
import type { Sealer } from '../../runtime/key-provider.ts';
import type { GatewayEvent, SessionGrant } from '../../sync/ports.ts';
import { GATEWAY_PREFIX, NOTES_PREFIX, encodeNotes, sealRow } from './gateway-row.ts';
import type { GatewayRow } from './gateway-row.ts';
import type { Gateway, LiveSession } from './gateway.ts';
import { matchesAny } from './stream-pattern.ts';

const TOKEN_BYTES = 32;
/** How long an older session may take to stop writing before its gateway is told to try again. */
const TAKE_OVER_MS = 10_000;

const CLONED =
  "a copy of this gateway's disk tried to connect while the gateway was connected; stop the copy, run: tributary identity reset DIR --yes, and enrol it";
const RESTORED = 'it came back with a token of the past: its disk was restored or copied';

export interface SessionOptions {
  readonly takeOverMs?: number;
  /** What gateways sent, for the metrics. */
  readonly onReceived?: (records: number, bytes: number) => void;
}

export class GatewaySessions {
  readonly #meta: Meta;
  readonly #sealer: Sealer;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #options: SessionOptions;

  constructor(meta: Meta, sealer: Sealer, clock: Clock, log: Log, options: SessionOptions) {
    this.#meta = meta;
    this.#sealer = sealer;
    this.#clock = clock;
    this.#log = log;
    this.#options = options;
  }

  /** In the gateway's turn: one at a time. Throws GATEWAY_CLONED, GATEWAY_UNKNOWN, BUSY. */
  async begin(
    gateway: Gateway,
    token: string,
    programVersion: string,
    takeOver: () => Promise<void>,
  ): Promise<SessionGrant> {
    if (gateway.isRemoved) throw unknownGateway(gateway.row.id);
    const isKnown = gateway.knowsToken(token);
    if (!isKnown && gateway.live !== null) {
      this.#report(gateway, { kind: 'cloned', message: CLONED });
      throw new TributaryError('GATEWAY_CLONED', CLONED);
    }
    await this.endLive(gateway);
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

  /** Takes the live session over, if there is one. */
  async endLive(gateway: Gateway): Promise<void> {
    const { live } = gateway;
    if (live === null) return;
    await withinBound(live.takeOver(), this.#options.takeOverMs ?? TAKE_OVER_MS);
    gateway.live = null;
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

export function unknownGateway(id: string): TributaryError {
  return new TributaryError('GATEWAY_UNKNOWN', `there is no gateway ${id} here; enrol it`);
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
