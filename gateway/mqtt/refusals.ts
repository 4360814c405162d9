// Counts what is refused or dropped, and logs the first of each cause; more of the same are told once a minute.
import { isTributaryError } from '../../stream/errors.ts';
import type { Clock, Log, LogFields } from '../../stream/ports.ts';
import type { Counter } from '../../runtime/metrics.ts';

const REPEAT_US = 60_000_000n;
/** Reasons are our own words, so there are few; the rest is a guard. */
const CAUSES_MAX = 100;

interface Cause {
  loggedUs: bigint;
  silent: number;
}

export class Refusals {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #counter: Counter;
  readonly #event: string;
  readonly #causes = new Map<string, Cause>();
  readonly #counted = new WeakSet<Error>();

  constructor(log: Log, clock: Clock, counter: Counter, event: string) {
    this.#log = log;
    this.#clock = clock;
    this.#counter = counter;
    this.#event = event;
  }

  /** A failed commit fails many publishes with one error: each counts. */
  addError(error: Error, reason: string, fields: LogFields = {}): void {
    this.#counted.add(error);
    this.add(reason, { ...fields, error });
  }

  /** Whether the error was counted where it came up: it ends the connection too, which is not another refusal. */
  hasCounted(error: Error): boolean {
    return this.#counted.has(error);
  }

  add(reason: string, fields: LogFields = {}): void {
    this.#counter.add(1, { reason });
    const nowUs = this.#clock.monotonicUs();
    const cause = this.#causes.get(reason);
    if (cause !== undefined && nowUs - cause.loggedUs < REPEAT_US) {
      cause.silent += 1;
      return;
    }
    if (this.#causes.size >= CAUSES_MAX) this.#causes.clear();
    this.#causes.set(reason, { loggedUs: nowUs, silent: 0 });
    const more = cause === undefined || cause.silent === 0 ? {} : { unlogged: cause.silent };
    this.#log.warn(this.#event, { reason, ...fields, ...more });
  }
}

/** The label of an error: the reason it names, else its code, else `internal`. */
export function reasonOf(error: unknown): string {
  if (!isTributaryError(error)) return 'internal';
  const { reason } = error.details;
  return typeof reason === 'string' ? reason : error.code.toLowerCase();
}
