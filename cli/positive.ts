// A count on the command line.
import { usageError } from './cli-error.ts';

/** Throws CliError for anything but 1..999,999,999. */
export function positive(text: string): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (value >= 1) return value;
  throw usageError(`a number from 1 on was expected, not ${text.slice(0, 40)}`);
}
