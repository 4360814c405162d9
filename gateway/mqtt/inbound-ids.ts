// Packet ids of QoS 2 publishes that were taken and not yet released (MQTT 3.1.1, 4.3.3): what makes a repeat known.
// Of a persistent session each is a row `qos2/<sha256 of client id>/<packet id>`, written in the commit of its record,
// so that a repeat is known after a crash. A clean session ends with its connection: its ids are in memory only.
import { createHash, hash } from 'node:crypto';
import { TributaryError } from '../../stream/errors.ts';
import type { Meta, MetaChange } from '../../stream/ports.ts';

interface Taken {
  /** Settles with the commit of its record; null once that is durable. */
  commit: Promise<void> | null;
  readonly isStored: boolean;
  /** Of topic and payload: a repeat is the same message, an id that comes back with another one is not. */
  readonly fingerprint: Uint8Array;
}

/** The ids of one client id, whichever connection took them. */
interface Window {
  /** The newest connection of this client id. */
  owner: object;
  isStored: boolean;
  readonly prefix: string;
  readonly ids: Map<number, Taken>;
  /** Settles when the rows of the store have been read. */
  loaded: Promise<void>;
}

/** One QoS 2 publish: what it is known by. */
export interface InboundKey {
  readonly clientId: string;
  readonly packetId: number;
  readonly fingerprint: Uint8Array;
}

export interface InboundLimits {
  readonly inboundInflightMax: number;
  readonly inboundStoredMax: number;
}

const PREFIX = 'qos2/';
const FINGERPRINT_BYTES = 16;

export function fingerprintOf(topic: string, payload: Uint8Array): Uint8Array {
  const whole = Buffer.concat([Buffer.from(topic), Buffer.of(0), payload]);
  return hash('sha256', whole, 'buffer').subarray(0, FINGERPRINT_BYTES);
}

export class InboundIds {
  readonly #meta: Meta;
  readonly #limits: InboundLimits;
  readonly #windows = new Map<string, Window>();
  #stored = 0;
  #releasing = 0;

  private constructor(meta: Meta, limits: InboundLimits) {
    this.#meta = meta;
    this.#limits = limits;
  }

  static async open(meta: Meta, limits: InboundLimits): Promise<InboundIds> {
    const ids = new InboundIds(meta, limits);
    for await (const entry of meta.list(PREFIX)) ids.#stored += entry.key.length > 0 ? 1 : 0;
    return ids;
  }

  /** Rows in the store, of clients connected or away. */
  get stored(): number {
    return this.#stored;
  }

  /** No PUBREL waits for the store. */
  get isIdle(): boolean {
    return this.#releasing === 0;
  }

  /** Before the connection's CONNACK: what its client id has taken is known from here on. */
  async attach(clientId: string, owner: object, isStored: boolean): Promise<void> {
    const window = this.#windows.get(clientId) ?? this.#load(clientId);
    window.owner = owner;
    window.isStored = isStored;
    try {
      await window.loaded;
    } catch (error) {
      if (this.#windows.get(clientId) === window) this.#windows.delete(clientId);
      throw error;
    }
  }

  /**
   * The commit of the very message that took this id before; null when it is durable, undefined when there is none
   * or the id was taken by another message.
   */
  repeated({ clientId, packetId, fingerprint }: InboundKey): Promise<void> | null | undefined {
    const taken = this.#windows.get(clientId)?.ids.get(packetId);
    if (taken === undefined || Buffer.compare(taken.fingerprint, fingerprint) !== 0) return undefined;
    return taken.commit;
  }

  has(clientId: string, packetId: number): boolean {
    return this.#windows.get(clientId)?.ids.has(packetId) ?? false;
  }

  /**
   * Takes the id for a new publish, which `commit` makes durable together with the given changes. `commit` is called
   * at once. A publish that failed leaves what was there before it.
   */
  async take(key: InboundKey, commit: (side: readonly MetaChange[]) => Promise<void>): Promise<void> {
    const { clientId, packetId, fingerprint } = key;
    const window = this.#windows.get(clientId);
    if (window === undefined) throw new TributaryError('PROTOCOL_ERROR', 'the connection is closed');
    const before = window.ids.get(packetId);
    this.#checkRoom(window, before);
    const isStored = window.isStored || before?.isStored === true;
    const isNewRow = isStored && before?.isStored !== true;
    const side = isStored ? [{ key: `${window.prefix}${packetId}`, value: fingerprint }] : [];
    const committing = commit(side);
    const mine: Taken = { commit: committing, isStored, fingerprint };
    window.ids.set(packetId, mine);
    if (isNewRow) this.#stored += 1;
    try {
      await committing;
      mine.commit = null;
    } catch (error) {
      if (isNewRow) this.#stored -= 1;
      if (window.ids.get(packetId) === mine) restore(window, packetId, before);
      throw error;
    } finally {
      this.#dropIfIdle(clientId, window);
    }
  }

  /** PUBREL: resolves when no restart will know the id any more. */
  async release(clientId: string, packetId: number): Promise<void> {
    const window = this.#windows.get(clientId);
    const mine = window?.ids.get(packetId);
    if (window === undefined || mine === undefined) return;
    this.#releasing += 1;
    try {
      await mine.commit?.catch(() => undefined);
      if (mine.isStored) await this.#meta.del(`${window.prefix}${packetId}`, 'any');
    } finally {
      this.#releasing -= 1;
    }
    if (window.ids.get(packetId) !== mine) return;
    window.ids.delete(packetId);
    if (mine.isStored) this.#stored -= 1;
  }

  /** CONNECT with clean session: resolves when nothing of the client id is left. Ignored from a former owner. */
  async discard(clientId: string, owner: object): Promise<void> {
    const window = this.#windows.get(clientId);
    if (window === undefined || window.owner !== owner) return;
    const commits = [...window.ids.values()].flatMap(({ commit }) => commit ?? []);
    await Promise.allSettled(commits);
    const stored = [...window.ids].filter(([, { isStored }]) => isStored);
    await Promise.all(stored.map(([packetId]) => this.#meta.del(`${window.prefix}${packetId}`, 'any')));
    this.#stored -= stored.length;
    window.ids.clear();
  }

  /** The connection has ended. What is stored is read again when the client comes back. */
  detach(clientId: string, owner: object): void {
    const window = this.#windows.get(clientId);
    if (window === undefined || window.owner !== owner) return;
    window.owner = GONE;
    this.#dropIfIdle(clientId, window);
  }

  #load(clientId: string): Window {
    const prefix = `${PREFIX}${createHash('sha256').update(clientId).digest('hex')}/`;
    const ids = new Map<number, Taken>();
    const window: Window = { owner: GONE, isStored: false, prefix, ids, loaded: this.#read(prefix, ids) };
    this.#windows.set(clientId, window);
    return window;
  }

  async #read(prefix: string, ids: Map<number, Taken>): Promise<void> {
    for await (const { key, value } of this.#meta.list(prefix)) {
      // A copy: the entry may be a view of the store's memory.
      const fingerprint = Uint8Array.from(value);
      ids.set(Number(key.slice(prefix.length)), { commit: null, isStored: true, fingerprint });
    }
  }

  #dropIfIdle(clientId: string, window: Window): void {
    if (window.owner !== GONE || this.#windows.get(clientId) !== window) return;
    if ([...window.ids.values()].every(({ commit }) => commit === null)) this.#windows.delete(clientId);
  }

  #checkRoom(window: Window, before: Taken | undefined): void {
    if (before !== undefined) return;
    if (window.ids.size >= this.#limits.inboundInflightMax) {
      const text = `${window.ids.size} QoS 2 publishes of this client wait for PUBREL, no more are taken`;
      throw new TributaryError('PROTOCOL_ERROR', text, { details: { reason: 'qos2_inflight' } });
    }
    if (window.isStored && this.#stored >= this.#limits.inboundStoredMax) {
      const text = `${this.#stored} QoS 2 publishes of all clients wait for PUBREL; let the clients come back and finish, or connect them once with clean session`;
      throw new TributaryError('BUSY', text, { details: { reason: 'qos2_stored' } });
    }
  }
}

const GONE = {};

function restore(window: Window, packetId: number, before: Taken | undefined): void {
  if (before === undefined) window.ids.delete(packetId);
  else window.ids.set(packetId, before);
}
