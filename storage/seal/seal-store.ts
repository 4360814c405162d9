// Encryption at rest above any engine: everything above sees plain blocks, everything below sealed ones. Plain blocks may
// stand between sealed ones, so that it can be switched on and off.
import { TributaryError } from '../../stream/errors.ts';
import type {
  AppendInput,
  AppendResult,
  BlockPage,
  Digest,
  PageBounds,
  ShardLog,
  ShardRef,
  Store,
  StoredBlock,
} from '../../stream/ports.ts';
import type { Position } from '../../stream/position.ts';
import type { Keyring } from './keyring.ts';
import { SEAL_BYTES, keyIdOf, openBlock, sealBlock } from './sealed-block.ts';
import type { SealingKeys } from './sealed-block.ts';
import type { StreamKeys } from './stream-keys.ts';

/** The same store; itself when there is nothing to seal and nothing sealed. `streams`: streams may have keys of their own. */
export function sealStore(store: Store, keyring: Keyring, digest: Digest, streams?: StreamKeys): Store {
  if (streams === undefined && !keyring.isSealing && keyring.isEmpty) return store;
  return {
    log: new SealedShardLog(store.log, keyring, digest, streams),
    meta: store.meta,
    usage: () => store.usage(),
    writtenBytes: () => store.writtenBytes(),
    nowMs: () => store.nowMs(),
    close: () => store.close(),
  };
}

class SealedShardLog implements ShardLog {
  readonly caps: ShardLog['caps'];
  readonly #log: ShardLog;
  readonly #keyring: Keyring;
  readonly #digest: Digest;
  readonly #streams: StreamKeys | undefined;
  /** While a stream waits for a key, what comes waits behind what waits: a lane's blocks keep their order. */
  readonly #waits = new Map<string, Wait>();

  constructor(log: ShardLog, keyring: Keyring, digest: Digest, streams: StreamKeys | undefined) {
    this.#log = log;
    this.#keyring = keyring;
    this.#streams = streams;
    this.#digest = digest;
    this.caps = { ...log.caps, blockBytesMax: log.caps.blockBytesMax - SEAL_BYTES };
  }

  createShard: ShardLog['createShard'] = (ref, options) => this.#log.createShard(ref, options);
  closeShard: ShardLog['closeShard'] = (ref) => this.#log.closeShard(ref);
  dropShard: ShardLog['dropShard'] = (ref) => this.#log.dropShard(ref);
  setRetention: ShardLog['setRetention'] = (ref, ms) => this.#log.setRetention(ref, ms);
  lane: ShardLog['lane'] = (ref, lane) => this.#log.lane(ref, lane);
  trim: ShardLog['trim'] = (ref, position, changes) => this.#log.trim(ref, position, changes);
  bounds: ShardLog['bounds'] = (ref) => this.#log.bounds(ref);
  seekTime: ShardLog['seekTime'] = (ref, ms) => this.#log.seekTime(ref, ms);
  seekOrdinal: ShardLog['seekOrdinal'] = (ref, ordinal) => this.#log.seekOrdinal(ref, ordinal);

  /** Hands the block over before the first await, but for the first one: what is appended together shares a commit. */
  async append(ref: ShardRef, input: AppendInput): Promise<AppendResult> {
    if (input.block.length > this.caps.blockBytesMax) throw tooLarge(this.caps, input.block);
    return this.#waits.has(ref.streamId) ? this.#appendLater(ref, input, false) : this.#appendNow(ref, input);
  }

  async readBlocks(ref: ShardRef, from: Position, max: PageBounds): Promise<BlockPage> {
    return this.#opened(ref, await this.#log.readBlocks(ref, from, max));
  }

  async *tail(ref: ShardRef, from: Position, signal: AbortSignal): AsyncGenerator<BlockPage> {
    for await (const page of this.#log.tail(ref, from, signal)) yield await this.#opened(ref, page);
  }

  #appendNow(ref: ShardRef, input: AppendInput): Promise<AppendResult> {
    const keys = this.#keysOf(ref);
    if (keys === null) return this.#log.append(ref, input);
    const key = keys.take();
    if (key === null) return this.#appendLater(ref, input, true);
    const block = sealBlock(input.block, input.recordCount, ref, key, this.#digest);
    return this.#log.append(ref, { ...input, block });
  }

  /**
   * Appends that wait for a key go on in their order. `needsKey`: it was its turn, and there was none. When what it waited
   * for is over it must be another key: the stream is sealed with a new one since.
   */
  async #appendLater(ref: ShardRef, input: AppendInput, needsKey: boolean): Promise<AppendResult> {
    const known = this.#waits.get(ref.streamId);
    const wait =
      known === undefined || (needsKey && known.isOver)
        ? { count: 0, isOver: false, ready: this.#keysOf(ref)?.refill() }
        : known;
    this.#waits.set(ref.streamId, wait);
    wait.count += 1;
    try {
      await wait.ready;
    } finally {
      wait.isOver = true;
      wait.count -= 1;
      if (wait.count === 0 && this.#waits.get(ref.streamId) === wait) this.#waits.delete(ref.streamId);
    }
    return this.#appendNow(ref, input);
  }

  /** Null: its blocks are not sealed. A key of the stream's own comes before that of the store. */
  #keysOf({ streamId }: ShardRef): SealingKeys | null {
    return this.#streams?.sealingOf(streamId) ?? (this.#keyring.isSealing ? this.#keyring : null);
  }

  /** Throws what is said of a stream's key that cannot be used. */
  async #opened(ref: ShardRef, page: BlockPage): Promise<BlockPage> {
    const ids = new Set(page.blocks.flatMap(({ block }) => keyIdOf(block) ?? []));
    const ofStream = ids.size === 0 ? undefined : await this.#streams?.plainOf(ids);
    const find = (id: number): Uint8Array => ofStream?.get(id) ?? this.#keyring.find(id);
    return { ...page, blocks: page.blocks.map((stored) => this.#openedBlock(ref, stored, find)) };
  }

  /** Opened when somebody looks: a damaged block stops its reader and not those who only count or pass it by. */
  #openedBlock(ref: ShardRef, stored: StoredBlock, find: (id: number) => Uint8Array): StoredBlock {
    const keyId = keyIdOf(stored.block);
    if (keyId === null) return stored;
    const digest = this.#digest;
    let block: Uint8Array | null = null;
    return {
      ...stored,
      ...(this.#streams?.namedKeyOf(keyId) === undefined ? {} : { streamKey: keyId }),
      get block() {
        block ??= openBlock(stored.block, ref, find, digest);
        return block;
      },
    };
  }
}

interface Wait {
  count: number;
  /** The first of those who wait has gone on. */
  isOver: boolean;
  /** Undefined: there is nothing to wait for but those who wait. */
  readonly ready: Promise<void> | undefined;
}

function tooLarge({ blockBytesMax }: ShardLog['caps'], block: Uint8Array): TributaryError {
  const text = `a block is at most ${blockBytesMax} bytes, this one has ${block.length}`;
  return new TributaryError('BLOCK_TOO_LARGE', text);
}
