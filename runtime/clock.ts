// The Clock port over the system's clocks.
import type { Clock } from '../stream/ports.ts';

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicUs: () => process.hrtime.bigint() / 1000n,
};
