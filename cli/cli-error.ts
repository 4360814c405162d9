// How a command ends: the exit codes, and the one error that carries one.

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  auth: 4,
  unreachable: 5,
  interrupted: 130,
} as const;

export interface CliErrorFacts {
  readonly exit: number;
  /** Stable, in capitals. */
  readonly code: string;
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
  readonly requestId?: string;
}

export class CliError extends Error {
  readonly facts: CliErrorFacts;

  constructor(facts: CliErrorFacts, options?: ErrorOptions) {
    super(facts.message, options);
    this.name = 'CliError';
    this.facts = facts;
  }
}

export function usageError(message: string, hint?: string): CliError {
  return new CliError({ exit: EXIT.usage, code: 'USAGE', message, ...(hint === undefined ? {} : { hint }) });
}
