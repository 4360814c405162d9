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
import { SEAL_BYTES, isSealed, openBlock, sealBlock } from './sealed-block.ts';
import type { DataKey } from './sealed-block.ts';

/** The same store; itself when there is nothing to seal and nothing sealed. */
export function sealStore(store: Store, keyring: Keyring, digest: Digest): Store {
  if (!keyring.isSealing && keyring.isEmpty) return store;
  return {
    log: new SealedShardLog(store.log, keyring, digest),
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
  /** While a key is waited for, what comes waits behind those that wait: a lane's blocks keep their order. */
  #ready: Promise<void> | null = null;
  #waiting = 0;

  constructor(log: ShardLog, keyring: Keyring, digest: Digest) {
    this.#log = log;
    this.#keyring = keyring;
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
    if (!this.#keyring.isSealing) return this.#log.append(ref, input);
    const key = this.#ready === null ? this.#keyring.take() : null;
    return key === null ? this.#appendLater(ref, input) : this.#append(ref, input, key);
  }

  async readBlocks(ref: ShardRef, from: Position, max: PageBounds): Promise<BlockPage> {
    return this.#opened(ref, await this.#log.readBlocks(ref, from, max));
  }

  async *tail(ref: ShardRef, from: Position, signal: AbortSignal): AsyncGenerator<BlockPage> {
    for await (const page of this.#log.tail(ref, from, signal)) yield this.#opened(ref, page);
  }

  /** Appends that wait for a key go on in their order. */
  async #appendLater(ref: ShardRef, input: AppendInput): Promise<AppendResult> {
    this.#waiting += 1;
    try {
      this.#ready ??= this.#keyring.refill();
      await this.#ready;
    } finally {
      this.#waiting -= 1;
      if (this.#waiting === 0) this.#ready = null;
    }
    const key = this.#keyring.take();
    return key === null ? this.#appendLater(ref, input) : this.#append(ref, input, key);
  }

  #append(ref: ShardRef, input: AppendInput, key: DataKey): Promise<AppendResult> {
    const block = sealBlock(input.block, input.recordCount, ref, key, this.#digest);
    return this.#log.append(ref, { ...input, block });
  }

  #opened(ref: ShardRef, page: BlockPage): BlockPage {
    return { ...page, blocks: page.blocks.map((stored) => this.#openedBlock(ref, stored)) };
  }

  /** Opened when somebody looks: a damaged block stops its reader and not those who only count or pass it by. */
  #openedBlock(ref: ShardRef, stored: StoredBlock): StoredBlock {
    if (!isSealed(stored.block)) return stored;
    const find = this.#keyring.find;
    const digest = this.#digest;
    let block: Uint8Array | null = null;
    return {
      ...stored,
      get block() {
        block ??= openBlock(stored.block, ref, find, digest);
        return block;
      },
    };
  }
}

function tooLarge({ blockBytesMax }: ShardLog['caps'], block: Uint8Array): TributaryError {
  const text = `a block is at most ${blockBytesMax} bytes, this one has ${block.length}`;
  return new TributaryError('BLOCK_TOO_LARGE', text);
}
