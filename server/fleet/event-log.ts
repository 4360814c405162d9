// What happened to a gateway that an operator should know: the latest events, repeated ones counted.
import type { GatewayEvent } from '../../sync/ports.ts';
import type { KeptEvent } from './gateway-row.ts';

export const EVENTS_MAX = 32;
const MESSAGE_CHARACTERS_MAX = 512;

/** The events with one more; the oldest are forgotten. */
export function withEvent(
  events: readonly KeptEvent[],
  { kind, message }: GatewayEvent,
  atMs: number,
): KeptEvent[] {
  const text = message.slice(0, MESSAGE_CHARACTERS_MAX);
  const same = (event: KeptEvent): boolean => event.kind === kind && event.message === text;
  const count = (events.find(same)?.count ?? 0) + 1;
  const others = events.filter((event) => !same(event));
  return [...others, { kind, message: text, atMs, count }].slice(-EVENTS_MAX);
}
