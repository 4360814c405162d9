// A program as a process: one ready line on stdout, logs on stderr, signals, and the exit codes supervisors act on.
import { isTributaryError } from '../stream/errors.ts';
import type { Log } from '../stream/ports.ts';
import { programVersion } from './program-version.ts';

const EXIT_OK = 0;
const EXIT_FAILED = 1;
/** Authentication or permission: starting again without a change is useless. */
export const EXIT_REFUSED = 4;
/** A supervisor should start the program again: the disk failed, and a new start recovers what was acknowledged. */
const EXIT_STORAGE_FAILED = 75;
const EXIT_INTERRUPTED = 130;

/** Everything is over after SIGTERM by then, whatever hangs. */
const STOP_MS = 9_000;

export interface RunningProgram {
  /** What the ready line tells beside program, version and pid. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** Stops accepting, finishes what is under way within a bound. Idempotent. */
  close(): Promise<void>;
}

/** What a program may say while it runs. */
export interface ProgramEnd {
  /** The disk failed: nothing more is acknowledged. Ends the process. */
  storageFailed(error: Error): never;
  /** Closes the program, then ends the process with the code. */
  stop(code: number, reason: string): void;
}

/** Runs until a signal or a failure, then ends the process. Throws what keeps it from starting. */
export async function runProgram(
  name: string,
  log: Log,
  open: (end: ProgramEnd) => Promise<RunningProgram>,
): Promise<void> {
  let running: RunningProgram | null = null;
  let stopping: { readonly code: number; readonly reason: string } | null = null;
  const finish = (code: number, reason: string): void => {
    stopping ??= { code, reason };
    if (running !== null) endGently(running, log, stopping.code, stopping.reason);
  };
  const end: ProgramEnd = { storageFailed: (error) => endOnStorage(log, error), stop: finish };
  endOnFailure(log);
  endOnSignals(finish);
  running = await open(end);
  const ready = {
    event: 'ready',
    program: name,
    version: programVersion(),
    pid: process.pid,
    ...running.ready,
  };
  process.stdout.write(`${JSON.stringify(ready)}\n`);
  log.info('ready', ready);
  // What was said while it started holds now.
  const early = stopping as { code: number; reason: string } | null;
  if (early !== null) endGently(running, log, early.code, early.reason);
}

let isEnding = false;

function endGently(running: RunningProgram, log: Log, code: number, reason: string): void {
  if (isEnding) return;
  isEnding = true;
  log.info('stopping', { reason });
  setTimeout(() => {
    log.error('stopping took too long');
    process.exit(EXIT_FAILED);
  }, STOP_MS);
  running.close().then(
    () => process.exit(code),
    (error: unknown) => {
      log.error('stopping failed', { error });
      process.exit(EXIT_FAILED);
    },
  );
}

/** Nothing that nobody handled ends the process without a line that says so. */
function endOnFailure(log: Log): void {
  const end = (error: unknown): void => {
    if (isTributaryError(error, 'STORAGE_FAILED')) endOnStorage(log, error);
    log.error('ended by an error that nobody handled', {
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    process.exit(EXIT_FAILED);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
}

function endOnStorage(log: Log, error: Error): never {
  log.error('the disk failed; ended so that a new start can recover', { error });
  process.exit(EXIT_STORAGE_FAILED);
}

function endOnSignals(finish: (code: number, reason: string) => void): void {
  process.on('SIGTERM', () => finish(EXIT_OK, 'SIGTERM'));
  process.on('SIGINT', () => {
    // A second Ctrl-C means it.
    if (isEnding) process.exit(EXIT_INTERRUPTED);
    finish(EXIT_INTERRUPTED, 'SIGINT');
  });
}
