// Tells what may come up very often, but not each time.
import type { Clock } from '../stream/ports.ts';

/** `tell`, called at most once in `everyMs`; what comes in between is left out. */
export function seldom<T>(
  clock: Pick<Clock, 'monotonicUs'>,
  everyMs: number,
  tell: (what: T) => void,
): (what: T) => void {
  let toldUs: bigint | null = null;
  return (what) => {
    const nowUs = clock.monotonicUs();
    if (toldUs !== null && nowUs - toldUs < BigInt(everyMs) * 1000n) return;
    toldUs = nowUs;
    tell(what);
  };
}
