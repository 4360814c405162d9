// Work that is done again and again for as long as a program runs.
import type { Log } from '../stream/ports.ts';

export interface Repetition {
  /** Starts nothing more; resolves when what runs has ended. */
  close(): Promise<void>;
}

/** Never two at a time. One that fails is logged and tried again at the next time. */
export function repeat(name: string, intervalMs: number, work: () => Promise<void>, log: Log): Repetition {
  let running: Promise<void> | null = null;
  const timer = setInterval(() => {
    running ??= work()
      .catch((error: unknown) => log.error(`${name} failed; it is tried again`, { reason: String(error) }))
      .finally(() => {
        running = null;
      });
  }, intervalMs).unref();
  return {
    close: async () => {
      clearInterval(timer);
      await running;
    },
  };
}
