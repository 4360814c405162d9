// The process that salvages a store: started by salvage-process.ts, tells how far it is, answers over its channel, ends.
// It ends with its parent: the next start begins anew.
import { isTributaryError } from '../../stream/errors.ts';
import type { ChildRequest, ChildAnswer } from './salvage-process.ts';
import { salvageStore } from './salvage.ts';

process.on('disconnect', () => process.exit());
const request = JSON.parse(process.argv[2] ?? '{}') as ChildRequest;
process.send?.(await answer(), () => process.disconnect());

async function answer(): Promise<ChildAnswer> {
  try {
    const onProgress = (doneBytes: number, totalBytes: number): void =>
      void process.send?.({ kind: 'progress', doneBytes, totalBytes } satisfies ChildAnswer);
    return { kind: 'report', report: await salvageStore({ ...request, onProgress }) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind: 'failed', code: isTributaryError(error) ? error.code : 'STORAGE_FAILED', message };
  }
}
