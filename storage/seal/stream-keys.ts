// The data keys of streams that are encrypted with a named key of their own. A data key seals the blocks of one stream for
// a day at most, and its named key is asked again every five minutes, so that one that was disabled stops being used soon.
// Rows are removed with their stream: nothing else needs them.
import { z } from 'zod';
import { TributaryError } from '../../stream/errors.ts';
import type { Clock, Meta, MetaEntry } from '../../stream/ports.ts';
import type { MasterKey } from '../../runtime/master-key.ts';
import type { DataKey, SealingKeys } from './sealed-block.ts';
import { PROVED_MS, StreamSealing } from './stream-sealing.ts';

export const STREAM_KEYS_PREFIX = 'stream-key/';
/** Those of the store's own table are below. */
const FIRST_ID = 2 ** 31;
/** Plain data keys of readers that are kept; those of older blocks are unwrapped when they are needed. */
const PLAIN_KEYS_MAX = 1_000;

const streamKeyRow = z.strictObject({
  version: z.literal(1),
  streamId: z.string(),
  /** Which named key wraps it. */
  key: z.string(),
  fingerprint: z.string(),
  wrapped: z.base64(),
  createdMs: z.number(),
});
type StreamKeyRow = z.output<typeof streamKeyRow>;

export interface StreamKeysParts {
  readonly meta: Meta;
  readonly clock: Clock;
  /** Throws what whoever reads or writes is told when the key is not to be used. */
  readonly masterOf: (key: string) => MasterKey;
}

interface Plain {
  readonly key: Uint8Array;
  /** Monotonic. */
  readonly provedMs: number;
}

export class StreamKeys {
  readonly #parts: StreamKeysParts;
  readonly #rows = new Map<number, StreamKeyRow>();
  /** The one used last comes last. */
  readonly #plain = new Map<number, Plain>();
  readonly #sealings = new Map<string, StreamSealing>();
  #keyOf: (streamId: string) => string | undefined = () => undefined;
  #isThere: (streamId: string) => boolean = () => true;
  #newestId = FIRST_ID - 1;

  private constructor(parts: StreamKeysParts) {
    this.#parts = parts;
  }

  /** Opens no key: a named key that is gone concerns its streams alone. */
  static async open(parts: StreamKeysParts): Promise<StreamKeys> {
    const keys = new StreamKeys(parts);
    for await (const entry of parts.meta.list(STREAM_KEYS_PREFIX)) {
      const id = Number(entry.key.slice(STREAM_KEYS_PREFIX.length));
      keys.#rows.set(id, decode(entry));
      keys.#newestId = Math.max(keys.#newestId, id);
    }
    return keys;
  }

  /**
   * From now on records are sealed with the named key that `keyOf` says; keys of streams that are not there, or are being
   * deleted, are removed.
   */
  async follow(
    keyOf: (streamId: string) => string | undefined,
    isThere: (streamId: string) => boolean,
  ): Promise<void> {
    this.#keyOf = keyOf;
    this.#isThere = isThere;
    const streams = new Set([...this.#rows.values()].map(({ streamId }) => streamId));
    for (const streamId of streams) if (!isThere(streamId)) await this.removeOf(streamId);
  }

  /** Null: its records are not sealed with a key of their own. */
  sealingOf(streamId: string): SealingKeys | null {
    const named = this.#keyOf(streamId);
    return named === undefined ? null : this.#sealing(streamId).with(named);
  }

  /** Resolves when records of the stream can be sealed. Throws what the named key's users are told. */
  async prove(streamId: string): Promise<void> {
    const sealing = this.sealingOf(streamId);
    if (sealing !== null && !sealing.isReady) await sealing.refill();
  }

  /** A new data key for the records that the stream gets once it is sealed with `named`. Durable when resolved. */
  async renew(streamId: string, named: string): Promise<void> {
    await this.#sealing(streamId).renew(named);
  }

  /** The named key behind a data key; undefined: it is none of a stream's. */
  namedKeyOf(id: number): string | undefined {
    return this.#rows.get(id)?.key;
  }

  /** Plain data keys by id; those that are of no stream are left out. Throws what the named keys' users are told. */
  async plainOf(ids: ReadonlySet<number>): Promise<ReadonlyMap<number, Uint8Array>> {
    const found = new Map<number, Uint8Array>();
    for (const id of ids) if (this.#rows.has(id)) found.set(id, await this.#unwrapped(id));
    return found;
  }

  async removeOf(streamId: string): Promise<void> {
    for (const [id, row] of this.#rows) {
      if (row.streamId !== streamId) continue;
      await this.#parts.meta.del(nameOf(id), 'any');
      this.#rows.delete(id);
      this.#plain.delete(id);
    }
    this.#sealings.delete(streamId);
  }

  #sealing(streamId: string): StreamSealing {
    const known = this.#sealings.get(streamId);
    if (known !== undefined) return known;
    const sealing = new StreamSealing({
      nowMs: () => this.#nowMs(),
      make: (named) => this.#make(streamId, named),
      proved: (id) => this.#unwrapped(id),
    });
    this.#sealings.set(streamId, sealing);
    return sealing;
  }

  async #make(streamId: string, named: string): Promise<DataKey> {
    const { meta, clock, masterOf } = this.#parts;
    const master = masterOf(named);
    const id = (this.#newestId += 1);
    const { plain, wrapped } = await master.generate(nameOf(id));
    const row: StreamKeyRow = {
      version: 1,
      streamId,
      key: named,
      fingerprint: master.fingerprint,
      wrapped: Buffer.from(wrapped).toString('base64'),
      createdMs: clock.wallMs(),
    };
    await meta.put(nameOf(id), Buffer.from(JSON.stringify(row)), 'absent');
    if (!this.#isThere(streamId)) {
      // Deleted meanwhile: nobody would remove it later.
      await meta.del(nameOf(id), 'any');
      this.#sealings.delete(streamId);
      throw gone(id);
    }
    this.#rows.set(id, row);
    this.#remember(id, plain);
    return { id, key: plain };
  }

  async #unwrapped(id: number): Promise<Uint8Array> {
    const known = this.#plain.get(id);
    if (known !== undefined && this.#nowMs() - known.provedMs < PROVED_MS) return known.key;
    const row = this.#rows.get(id);
    if (row === undefined) throw gone(id);
    const key = await this.#parts.masterOf(row.key).unwrap(Buffer.from(row.wrapped, 'base64'), nameOf(id));
    this.#remember(id, key);
    return key;
  }

  #remember(id: number, key: Uint8Array): void {
    this.#plain.delete(id);
    this.#plain.set(id, { key, provedMs: this.#nowMs() });
    const [oldest] = this.#plain.keys();
    if (this.#plain.size > PLAIN_KEYS_MAX && oldest !== undefined) this.#plain.delete(oldest);
  }

  #nowMs(): number {
    return Number(this.#parts.clock.monotonicUs() / 1000n);
  }
}

function gone(id: number): TributaryError {
  return new TributaryError('KEY_INVALID', `data key ${id} is gone with the stream it was made for`);
}

function nameOf(id: number): string {
  return STREAM_KEYS_PREFIX + String(id).padStart(10, '0');
}

/** Throws STORAGE_FAILED when it is none. */
function decode({ key, value }: MetaEntry): StreamKeyRow {
  try {
    return streamKeyRow.parse(JSON.parse(Buffer.from(value).toString('utf8')));
  } catch (cause) {
    throw new TributaryError('STORAGE_FAILED', `the row ${key} of the keys of streams is damaged`, { cause });
  }
}
