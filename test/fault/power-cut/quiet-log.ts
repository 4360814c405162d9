// A log nobody reads.
import type { Log } from '../../../stream/ports.ts';

export const quiet: Log = {
  debug: () => undefined,
  info: () => undefined,
  notice: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => quiet,
};
