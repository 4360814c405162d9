// Runs a verification in a process of its own, because opening a damaged file may end the process that does it.
import { fork } from 'node:child_process';
import { compiledPath } from '../compiled-path.ts';
import { ReportBuilder } from './verify-report.ts';
import type { VerifyReport } from './verify-report.ts';
import type { VerifyDepth } from './verify-store.ts';

/** Of what a dying process said. */
const LAST_WORDS_BYTES = 500;
/** What reading a damaged file ends a process with. */
const DAMAGE_SIGNALS: readonly unknown[] = ['SIGSEGV', 'SIGBUS', 'SIGABRT', 'SIGILL', 'SIGFPE', 'SIGTRAP'];

export interface ChildAnswer {
  readonly report: VerifyReport;
  /** False: the process ended without a report, and not by what was in the file. */
  readonly isCertain: boolean;
}

export function verifyInChild(file: string, depth: VerifyDepth): Promise<ChildAnswer> {
  return new Promise((resolve) => {
    const child = fork(compiledPath(import.meta.url, 'verify-child'), [file, depth], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let answer: VerifyReport | null = null;
    let words = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      words = (words + chunk.toString()).slice(-LAST_WORDS_BYTES);
    });
    child.on('message', (message) => {
      answer = message as VerifyReport;
      // It has nothing more to say, and some of Node's releases may wait for themselves at their end.
      child.kill('SIGKILL');
    });
    child.on('error', (error) => {
      words += error.message;
      // One that could not be started has no end.
      if (child.pid === undefined) resolve({ report: unreadable(file, null, null, words), isCertain: false });
    });
    child.on('close', (code, signal) => {
      const isCertain = answer !== null || DAMAGE_SIGNALS.includes(signal);
      resolve({ report: answer ?? unreadable(file, code, signal, words), isCertain });
    });
  });
}

function unreadable(file: string, code: number | null, signal: string | null, words: string): VerifyReport {
  const report = new ReportBuilder();
  const end = signal === null ? `exit code ${code}` : `signal ${signal}`;
  const said = words.trim() === '' ? '' : ` (${words.trim()})`;
  report.damage('unreadable', null, `reading ${file} ended the process with ${end}${said}`);
  return report.report();
}
