// The program whose disk is full again and again: several writers of small blocks in flight until nothing fits, then room
// is made, by another program or by trimming. Says whether all that was acknowledged can be read. Arguments: a folder on a
// small file system, the layout, how many rounds. Ends with 0 unless something ended the process.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isTributaryError } from '../../stream/errors.ts';
import { START_POSITION } from '../../stream/position.ts';
import type { Position } from '../../stream/position.ts';
import type { Store } from '../../stream/ports.ts';
import { systemClock } from '../../runtime/clock.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import type { LmdbLayout } from '../../storage/lmdb/lmdb-store.ts';
import { blockOf, record } from '../blocks.ts';

export interface FullReport {
  readonly refusals: number;
  /** Appends that were acknowledged in each round. */
  readonly accepted: readonly number[];
  readonly acknowledged: readonly string[];
  readonly readable: readonly string[];
}

const REFS = ['0', '1', '2'].map((shardId) => ({ streamId: 's', shardId }));
const WRITERS = 8;
/** A writer gives up a round after as many refusals: the others are in flight meanwhile. */
const REFUSALS_MAX = 15;
const FILLER_BYTES = 64 * 1024;

class Run {
  readonly #store: Store;
  readonly #folder: string;
  /** By position and shard. */
  readonly acknowledged = new Map<string, Position>();
  readonly accepted: number[] = [];
  refusals = 0;
  #count = 0;

  constructor(store: Store, folder: string) {
    this.#store = store;
    this.#folder = folder;
  }

  async round(index: number): Promise<void> {
    await this.#room(index);
    const before = this.acknowledged.size;
    await Promise.all(Array.from({ length: WRITERS }, (_, writer) => this.#write(writer)));
    this.accepted.push(this.acknowledged.size - before);
  }

  async readable(): Promise<string[]> {
    const found: string[] = [];
    for (const ref of REFS) {
      for (let next = START_POSITION; ;) {
        const page = await this.#store.log.readBlocks(ref, next, { blocks: 500, bytes: 1e8 });
        found.push(...page.blocks.map(({ first }) => `${ref.shardId} ${first}`));
        if (page.blocks.length === 0) break;
        next = page.next;
      }
    }
    return found;
  }

  async #write(writer: number): Promise<void> {
    const ref = REFS[writer % REFS.length] ?? { streamId: 's', shardId: '0' };
    for (let refused = 0; refused < REFUSALS_MAX;) {
      this.#count += 1;
      const text = `${writer} ${'x'.repeat(50 + ((this.#count * 37) % 1_500))}`;
      const input = { block: blockOf([record('k', text)]), recordCount: 1 };
      const lazy = { key: `cursor/${writer}`, value: Buffer.from(`${this.#count}`) };
      this.#store.meta.putLazy(lazy.key, lazy.value);
      try {
        const { first } = await this.#store.log.append(ref, {
          ...input,
          with: [{ ...lazy, key: `with/${writer}` }],
        });
        this.acknowledged.set(`${ref.shardId} ${first}`, first);
      } catch (error) {
        if (!isTributaryError(error, 'STORAGE_FULL')) throw error;
        refused += 1;
        this.refusals += 1;
      }
    }
  }

  /** Now another program frees the disk, now it fills the very last of it for a while, now the log is trimmed. */
  async #room(index: number): Promise<void> {
    if (index === 0) return;
    if (index === 1) return rmSync(join(this.#folder, 'ballast'));
    if (index % 3 === 0) await this.#fillAndFree();
    for (const ref of REFS) await this.#trimHalf(ref);
  }

  async #trimHalf(ref: (typeof REFS)[number]): Promise<void> {
    const kept = [...this.acknowledged].filter(([name]) => name.startsWith(`${ref.shardId} `));
    const middle = kept[Math.floor(kept.length / 2)];
    if (middle === undefined) return;
    await this.#store.log.trim(ref, middle[1]);
    for (const [name, position] of kept) if (position < middle[1]) this.acknowledged.delete(name);
  }

  async #fillAndFree(): Promise<void> {
    const fillers: string[] = [];
    try {
      for (;;) {
        const filler = join(this.#folder, `filler-${fillers.length}`);
        fillers.push(filler);
        writeFileSync(filler, Buffer.alloc(FILLER_BYTES));
      }
    } catch {
      // Full to the last byte.
    }
    await Promise.all(Array.from({ length: WRITERS }, (_, writer) => this.#write(writer)));
    for (const filler of fillers) rmSync(filler);
  }
}

async function run(folder: string, layout: LmdbLayout, rounds: number): Promise<FullReport> {
  const store = await openLmdbStore({
    path: join(folder, 'log.mdb'),
    clock: systemClock,
    layout,
    lazyMs: 20,
  });
  for (const ref of REFS) await store.log.createShard(ref, { retentionMs: Infinity });
  const writing = new Run(store, folder);
  for (let index = 0; index < rounds; index += 1) await writing.round(index);
  const readable = await writing.readable();
  await store.close();
  const { refusals, accepted, acknowledged } = writing;
  return {
    refusals,
    accepted,
    acknowledged: [...acknowledged.keys()].toSorted(),
    readable: readable.toSorted(),
  };
}

const [folder, layout, rounds] = process.argv.slice(2);
if (folder !== undefined) {
  process.stdout.write(JSON.stringify(await run(folder, layout as LmdbLayout, Number(rounds))));
}
