// The engines a contract holds for, each in a folder of its own, with a clock the test sets.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type {
  AppendInput,
  Clock,
  LaneAppend,
  MetaChange,
  ShardLog,
  ShardRef,
  Store,
} from '../../stream/ports.ts';
import { START_POSITION } from '../../stream/position.ts';
import type { Position } from '../../stream/position.ts';
import { isTributaryError } from '../../stream/errors.ts';
import type { LmdbOptions } from '../../storage/lmdb/lmdb-store.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { nodeDigest } from '../../runtime/digest.ts';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import { SEAL_BYTES } from '../../storage/seal/sealed-block.ts';
import { sealStore } from '../../storage/seal/seal-store.ts';
import { FOLDER_KEY, Vault } from '../../storage/seal/vault.ts';
import { blockOf, numberedRecords } from '../blocks.ts';

export const REF: ShardRef = { streamId: 'stream', shardId: 'shardId-000000000000' };
export const START_MS = 1_767_225_600_000;

export class ManualClock implements Clock {
  ms = START_MS;

  wallMs(): number {
    return this.ms;
  }

  monotonicUs(): bigint {
    return BigInt(this.ms) * 1_000n;
  }
}

export interface Engine {
  readonly name: string;
  /** Keeps what it stored when it is closed and opened again. */
  readonly isDurable: boolean;
  /** What it stores beside the bytes of each block, and counts with them. */
  readonly sealBytes: number;
  open(path: string, clock: Clock, options?: Partial<LmdbOptions>): Promise<Store>;
}

export const ENGINES: readonly Engine[] = [
  { name: 'memory', isDurable: false, sealBytes: 0, open: (_path, clock) => openMemoryStore({ clock }) },
  {
    name: 'lmdb shared',
    isDurable: true,
    sealBytes: 0,
    open: (path, clock, options) => openLmdbStore({ path, clock, layout: 'shared', ...options }),
  },
  {
    name: 'lmdb perShard',
    isDurable: true,
    sealBytes: 0,
    open: (path, clock, options) => openLmdbStore({ path, clock, layout: 'perShard', ...options }),
  },
];

/** Encryption at rest above them, which the map of small state does not go through. */
export const SEALED_ENGINES: readonly Engine[] = [
  {
    name: 'memory sealed',
    isDurable: false,
    sealBytes: SEAL_BYTES,
    open: async (path, clock) => {
      const vault = vaultOf(path, clock);
      const store = await openMemoryStore({ clock });
      await vault.admit(() => []);
      await vault.attach(store.meta);
      return sealStore(store, vault.keyring, nodeDigest);
    },
  },
  {
    name: 'lmdb sealed',
    isDurable: true,
    sealBytes: SEAL_BYTES,
    open: async (path, clock, options) => {
      const vault = vaultOf(path, clock);
      const store = await openLmdbStore({ path, clock, admit: vault.admit, ...options });
      await vault.attach(store.meta);
      return sealStore(store, vault.keyring, nodeDigest);
    },
  },
];

function vaultOf(path: string, clock: Clock): Vault {
  const places = { keyFile: `${path}.key`, env: {} };
  const store = { storeFile: path, lastResort: 'start anew' };
  return Vault.open({ sealWith: FOLDER_KEY, secretsPrefix: 'secret/', places, store, clock });
}

export const ALL_ENGINES = [...ENGINES, ...SEALED_ENGINES];

/** The memory engine keeps nothing by definition. */
export const DURABLE_ENGINES = ALL_ENGINES.filter(({ isDurable }) => isDurable);

/** One test's store, closed and removed behind it. */
export class Bench {
  readonly clock = new ManualClock();
  readonly folder = mkdtempSync(join(tmpdir(), 'tributary-contract-'));
  readonly path = join(this.folder, 'log.mdb');
  readonly #engine: Engine;
  readonly #options: Partial<LmdbOptions>;
  #store: Store | null = null;

  constructor(engine: Engine, options: Partial<LmdbOptions> = {}) {
    this.#engine = engine;
    this.#options = options;
  }

  async open(): Promise<Store> {
    this.#store = await this.#engine.open(this.path, this.clock, this.#options);
    return this.#store;
  }

  /** As a restart of the program. */
  async reopen(): Promise<Store> {
    await this.#store?.close();
    return this.open();
  }

  async remove(): Promise<void> {
    await this.#store?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Opens benches in tests, removes them afterwards. */
export function benches(engine: Engine): (options?: Partial<LmdbOptions>) => Bench {
  const open: Bench[] = [];
  afterEach(async () => {
    for (const bench of open.splice(0)) await bench.remove();
  });
  return (options) => {
    const bench = new Bench(engine, options);
    open.push(bench);
    return bench;
  };
}

/** A block of `count` records that says `name` in its first one. */
export function block(count = 1, name = ''): AppendInput {
  const [first, ...rest] = numberedRecords(count);
  if (first === undefined) throw new Error('a block has records');
  const named = { ...first, data: new TextEncoder().encode(name) };
  return { block: blockOf([named, ...rest]), recordCount: count };
}

export function laneBlock(
  lane: string,
  first: bigint,
  last: bigint,
  more: Partial<Pick<LaneAppend, 'after' | 'tag'>> & { with?: readonly MetaChange[] } = {},
): AppendInput {
  const { with: changes = [], ...options } = more;
  return {
    ...block(Number(last - first) + 1, `${lane} ${first}..${last}`),
    lane: { lane, first, last, tag: new Uint8Array(), ...options },
    with: changes,
  };
}

/** Bytes of every block that can be read, in order. */
export async function allBlocks(
  log: ShardLog,
  ref: ShardRef,
  from: Position = START_POSITION,
): Promise<string[]> {
  const blocks: string[] = [];
  for (let next = from; ;) {
    const page = await log.readBlocks(ref, next, { blocks: 7, bytes: 1e9 });
    blocks.push(...page.blocks.map((stored) => hex(stored.block)));
    if (page.blocks.length === 0) return blocks;
    next = page.next;
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function text(value: Uint8Array | null | undefined): string | null {
  return value === null || value === undefined ? null : new TextDecoder().decode(value);
}

/** What a call answers, or the code it throws. */
export async function outcome<T>(call: Promise<T>): Promise<T | string> {
  try {
    return await call;
  } catch (error) {
    if (isTributaryError(error)) return error.code;
    throw error;
  }
}
