// What a program that reshards a stream under a writer and two consumers must have seen.
import { expect } from 'vitest';

const KEYS = 12;

export interface SeenLineage {
  /** One record for each key was written in each. */
  readonly rounds: number;
  /** Open shards after each change. */
  readonly openCounts: readonly number[];
  /** Data by key, in the order of arrival. */
  readonly polled: Readonly<Record<string, readonly string[]>>;
  readonly pushed: Readonly<Record<string, readonly string[]>>;
}

/** Each consumer got each key whole, once and in order, and the last record of both shards that were open in the end. */
export function expectWholeLineage(seen: SeenLineage): void {
  expect(seen.openCounts).toEqual([3, 2, 4, 2]);
  const written = Array.from({ length: seen.rounds }, (_, round) => String(round));
  const keys = Array.from({ length: KEYS }, (_, key) => [`k${key}`, written]);
  const all = { ...Object.fromEntries(keys), end: ['end', 'end'] } as unknown;
  expect(seen.polled).toEqual(all);
  expect(seen.pushed).toEqual(all);
}
