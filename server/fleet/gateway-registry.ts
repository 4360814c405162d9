// The gateways of this server: who they are, which of them is connected, and which copy of a disk may speak for one.
import type { Clock, Log, Meta } from '../../stream/ports.ts';
import type { Sealer } from '../../runtime/key-provider.ts';
import type { SessionDirectory, SessionGrant } from '../../sync/ports.ts';
import { GATEWAY_PREFIX, NO_NOTES, NOTES_PREFIX, decodeNotes, openRow, sealRow } from './gateway-row.ts';
import type { GatewayNotes, GatewayRow } from './gateway-row.ts';
import { Gateway } from './gateway.ts';
import { GatewaySessions, newToken, unknownGateway } from './gateway-sessions.ts';
import type { SessionOptions } from './gateway-sessions.ts';
import type { GatewayView } from './gateway.ts';

export interface Enrolment {
  readonly id: string;
  readonly name: string;
  /** SPKI, DER, base64. */
  readonly publicKey: string;
  readonly allowedStreams: readonly string[];
}

export interface RegistryOptions extends SessionOptions {
  readonly gatewaysMax: number;
}

export class GatewayRegistry implements SessionDirectory {
  readonly #meta: Meta;
  readonly #sealer: Sealer;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #gatewaysMax: number;
  readonly #sessions: GatewaySessions;
  readonly #gateways = new Map<string, Gateway>();

  private constructor(meta: Meta, sealer: Sealer, clock: Clock, log: Log, options: RegistryOptions) {
    this.#meta = meta;
    this.#sealer = sealer;
    this.#clock = clock;
    this.#log = log;
    this.#gatewaysMax = options.gatewaysMax;
    this.#sessions = new GatewaySessions(meta, sealer, clock, log, options);
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
    return this.#gateways.size >= this.#gatewaysMax;
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
      await this.#sessions.endLive(gateway);
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
    if (gateway === undefined) return Promise.reject(unknownGateway(id));
    return gateway.turns.run(() => this.#sessions.begin(gateway, token, programVersion, takeOver));
  }
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
