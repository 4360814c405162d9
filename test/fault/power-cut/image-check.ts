// The program that opens images: the real store on a copy of each, checked, written to, verified. Told which by messages;
// a damaged image may end it with a signal. With a folder as its argument it checks that kept image and says what is wrong.
import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeDigest } from '../../../runtime/digest.ts';
import { openLmdbStore } from '../../../storage/lmdb/lmdb-store.ts';
import { freeListDamageOf } from '../../../storage/pages/store-file.ts';
import { verifyStore } from '../../../storage/verify/verify-store.ts';
import type { Clock } from '../../../stream/ports.ts';
import { Problems } from './expectation.ts';
import type { Expectation } from './expectation.ts';
import { EXPECTATION_FILE, STORE_FILE } from './image-names.ts';
import { checkLanes } from './lanes-check.ts';
import type { LanesSaid, ShardsSaid } from './said.ts';
import { checkShards } from './shards-check.ts';

/** What is wrong with it; nothing when it is as it must be. The image stays as it is. */
async function checkImage(image: string): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'tributary-image-'));
  const problems = new Problems();
  try {
    for (const name of readdirSync(image)) copyFileSync(join(image, name), join(folder, name));
    const text = readFileSync(join(image, EXPECTATION_FILE), 'utf8');
    await openAndCheck(join(folder, STORE_FILE), JSON.parse(text) as Expectation, problems);
  } catch (error) {
    problems.expect(false, () => (error instanceof Error ? (error.stack ?? error.message) : String(error)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return problems.texts;
}

async function openAndCheck(path: string, expectation: Expectation, problems: Problems): Promise<void> {
  const { before, behind } = expectation;
  if (behind.kind === 'readings') throw new Error('the image of a gateway is opened by a gateway');
  const clock = clockAt(before?.kind === 'shards' ? before.nowMs : 0);
  const layout = behind.kind === 'lanes' ? 'perShard' : behind.layout;
  const store = await openLmdbStore({ path, clock, layout });
  try {
    if (behind.kind === 'lanes') await checkLanes(store, before as LanesSaid | null, behind, problems);
    else await checkShards(store, before as ShardsSaid | null, behind, problems);
  } finally {
    await store.close();
  }
  const { damage } = await verifyStore(path, nodeDigest, 'whole');
  for (const { kind, shard, detail } of damage) problems.expect(false, () => `${kind} ${shard}: ${detail}`);
  const freeList = freeListDamageOf(path);
  problems.expect(freeList === null, () => `${freeList}`);
}

/** A program that starts when the power comes back, no later than the last promise says. */
function clockAt(wallMs: number): Clock {
  return { wallMs: () => wallMs, monotonicUs: () => BigInt(wallMs) * 1_000n };
}

const [image] = process.argv.slice(2);
if (image !== undefined && existsSync(image)) {
  const problems = await checkImage(image);
  process.stdout.write(`${problems.length === 0 ? 'nothing is wrong' : problems.join('\n')}\n`);
  process.exitCode = problems.length === 0 ? 0 : 1;
} else if (process.send !== undefined) {
  process.on('message', (message) => {
    void checkImage(String(message)).then((problems) => process.send?.(problems));
  });
}
