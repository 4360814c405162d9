// The program whose disk fails: appends until an append fails, tries once more, and says what happened. Ends with 0
// unless something escaped that should have been caught. Arguments: the store file, how long a commit may take.
import { isTributaryError } from '../../stream/errors.ts';
import { systemClock } from '../../runtime/clock.ts';
import { openLmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { blockOf, numberedRecords } from '../blocks.ts';

export interface FailureReport {
  /** Records. */
  readonly acknowledged: number;
  /** Of the first failure, and of an append behind it. */
  readonly code: string;
  readonly later: string;
}

const REF = { streamId: 's', shardId: '0' };
const APPENDS_MAX = 1_000;

async function run(path: string, commitMsMax: number): Promise<FailureReport> {
  const { log } = await openLmdbStore({ path, clock: systemClock, commitMsMax });
  await log.createShard(REF, { retentionMs: Infinity });
  const append = () =>
    log.append(REF, { block: blockOf(numberedRecords(10)), recordCount: 10 }).then(
      () => 'stored',
      (error: unknown) => (isTributaryError(error) ? error.code : String(error)),
    );
  for (let acknowledged = 0; acknowledged < APPENDS_MAX * 10; acknowledged += 10) {
    const code = await append();
    if (code !== 'stored') return { acknowledged, code, later: await append() };
  }
  return { acknowledged: APPENDS_MAX * 10, code: 'none', later: 'none' };
}

const [path, commitMsMax] = process.argv.slice(2);
if (path !== undefined) {
  process.stdout.write(JSON.stringify(await run(path, Number(commitMsMax))));
  // What was left alone, a rejection above all, would end the process by now with another code.
  setTimeout(() => process.exit(0), 100);
}
