// Salvages in a process of its own: whatever the damage does to it, the program that asked lives on.
import { fork } from 'node:child_process';
import { rmSync } from 'node:fs';
import { TributaryError } from '../../stream/errors.ts';
import type { ErrorCode } from '../../stream/errors.ts';
import { compiledPath } from '../compiled-path.ts';
import type { SalvageOptions, SalvageReport } from './salvage.ts';

export type ChildRequest = Omit<SalvageOptions, 'onProgress'>;

export type ChildAnswer =
  | { readonly kind: 'progress'; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly kind: 'report'; readonly report: SalvageReport }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string };

/** Of what a dying process said. */
const LAST_WORDS_BYTES = 500;

/** As salvageStore; leaves no target behind when it fails. */
export function salvageInChild({ onProgress, ...request }: SalvageOptions): Promise<SalvageReport> {
  return new Promise((resolve, reject) => {
    const child = fork(compiledPath(import.meta.url, 'salvage-child'), [JSON.stringify(request)], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let end: ChildAnswer | null = null;
    let words = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      words = (words + chunk.toString()).slice(-LAST_WORDS_BYTES);
    });
    child.on('message', (message) => {
      const answer = message as ChildAnswer;
      if (answer.kind === 'progress') onProgress?.(answer.doneBytes, answer.totalBytes);
      else {
        end = answer;
        // All is on the disk, and some of Node's releases may wait for themselves at their end.
        child.kill('SIGKILL');
      }
    });
    child.on('error', (error) => {
      words += error.message;
      if (child.pid === undefined) reject(failed(request, words));
    });
    child.on('close', () => {
      const answer = end;
      if (answer?.kind === 'report') return resolve(answer.report);
      for (const file of [request.targetPath, `${request.targetPath}-lock`]) rmSync(file, { force: true });
      reject(
        answer?.kind === 'failed' ? new TributaryError(answer.code, answer.message) : failed(request, words),
      );
    });
  });
}

function failed({ damagedPath }: ChildRequest, words: string): TributaryError {
  const said = words.trim() === '' ? '' : ` (${words.trim()})`;
  return new TributaryError(
    'STORAGE_FAILED',
    `${damagedPath} could not be salvaged${said}; nothing was changed`,
  );
}
