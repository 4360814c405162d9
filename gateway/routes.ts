// Which stream and class a source goes to: an ordered list of routes, the first match wins.
// A route matches MQTT topics by MQTT filter, or serial ports by `serial:PATH` and `serial:*`.
import { z } from 'zod';
import { RECORD_CLASSES } from '../stream/record.ts';
import { filterProblem, topicMatches } from './mqtt/topic.ts';

const SERIAL_PREFIX = 'serial:';
/** Stream names of the Kinesis API, shorter by `.quarantine`, which every stream may get beside it. */
const STREAM_NAME = /^[a-zA-Z0-9_.-]{1,117}$/;

const routeSchema = z.strictObject({
  match: z
    .string()
    .check((context) => {
      const message = matchProblem(context.value);
      if (message !== null) context.issues.push({ code: 'custom', message, input: context.value });
    })
    .describe('MQTT filter, `serial:PATH` or `serial:*`'),
  stream: z
    .string()
    .regex(STREAM_NAME, 'a stream name has 1 to 117 of the characters a-z A-Z 0-9 _ . -')
    .default('telemetry')
    .describe('stream the records go to'),
  class: z.enum(RECORD_CLASSES).default('normal').describe('order of sending and of eviction'),
  profile: z.string().min(1).optional().describe('device profile that decodes the payload'),
  forward: z.boolean().default(true).describe('send the records to the server'),
});

export type Route = z.output<typeof routeSchema>;

export const routesSchema = z.array(routeSchema).max(1000).default([]);

/** What no route matches goes here. */
export const DEFAULT_ROUTE: Omit<Route, 'match'> = { stream: 'telemetry', class: 'normal', forward: true };

/** A source that is a serial port rather than a topic. A topic may begin with `serial:` too, so the kind is explicit. */
export interface RouteSource {
  readonly kind: 'mqtt' | 'serial';
  /** Topic or configured path. */
  readonly name: string;
}

export function findRoute(routes: readonly Route[], source: RouteSource): Omit<Route, 'match'> {
  return routes.find((route) => routeMatches(route.match, source)) ?? DEFAULT_ROUTE;
}

function routeMatches(match: string, { kind, name }: RouteSource): boolean {
  if (!match.startsWith(SERIAL_PREFIX)) return kind === 'mqtt' && topicMatches(match, name);
  const path = match.slice(SERIAL_PREFIX.length);
  return kind === 'serial' && (path === '*' || path === name);
}

function matchProblem(match: string): string | null {
  if (!match.startsWith(SERIAL_PREFIX)) return filterProblem(match);
  return match.length > SERIAL_PREFIX.length ? null : '`serial:` needs a port path or `*` behind it';
}
