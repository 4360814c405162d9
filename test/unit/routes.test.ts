// Goal: a route matches what MQTT 3.1.1 (4.7) says, the first match wins, and a bad list names every mistake.
import { describe, expect, it } from 'vitest';
import { DEFAULT_ROUTE, findRoute, routesSchema } from '../../gateway/routes.ts';
import { filterProblem, topicMatches, topicProblem } from '../../gateway/mqtt/topic.ts';
import { SubscriptionTree } from '../../gateway/mqtt/subscription-tree.ts';

/** Filter, topic, whether it matches: the examples of MQTT 3.1.1, 4.7, and their neighbours. */
const MATCHES: readonly (readonly [string, string, boolean])[] = [
  ['sport/tennis/player1/#', 'sport/tennis/player1', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/ranking', true],
  ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon', true],
  ['sport/#', 'sport', true],
  ['#', 'anything/at/all', true],
  ['#', '/', true],
  ['#', '$SYS/x', false],
  ['+/x', '$SYS/x', false],
  ['$SYS/#', '$SYS/x', true],
  ['$SYS/+', '$SYS/x', true],
  ['sport/tennis/+', 'sport/tennis/player1', true],
  ['sport/tennis/+', 'sport/tennis/player1/ranking', false],
  ['sport/+', 'sport', false],
  ['sport/+', 'sport/', true],
  ['+', 'finance', true],
  ['+', '/finance', false],
  ['/+', '/finance', true],
  ['+/+', '/finance', true],
  ['+/+/#', '/finance', true],
  ['+/#', 'finance', true],
  ['a/+/c', 'a//c', true],
  ['a/b', 'a/b', true],
  ['a/b', 'A/b', false],
  ['a/b', 'a/b/', false],
  ['a/$x', 'a/$x', true],
  ['a/+', 'a/$x', true],
  ['__proto__', '__proto__', true],
  ['__proto__', 'constructor', false],
];

describe('topicMatches and the subscription tree', () => {
  it.each(MATCHES)('%s on %s: %s', (filter, topic, expected) => {
    expect(topicMatches(filter, topic)).toBe(expected);
    const tree = new SubscriptionTree();
    tree.add(filter, 'client', 1);
    expect(tree.match(topic).has('client')).toBe(expected);
  });

  it('agree on generated filters and topics', () => {
    const levels = ['', 'a', 'b', '$x'];
    const topics = levels
      .flatMap((x) => levels.flatMap((y) => [x, `${x}/${y}`, `${x}/${y}/a`]))
      .filter(Boolean);
    const parts = [...levels, '+'];
    const filters = parts
      .flatMap((x) => parts.flatMap((y) => [x, `${x}/${y}`, `${x}/${y}/#`, `${x}/#`, `${x}/${y}/+`, '#']))
      .filter(Boolean);
    const tree = new SubscriptionTree();
    for (const filter of filters) tree.add(filter, filter, 1);
    for (const topic of topics) {
      const expected = new Set(filters.filter((filter) => topicMatches(filter, topic)));
      expect(new Set(tree.match(topic).keys())).toEqual(expected);
    }
    for (const filter of filters) tree.remove(filter, filter);
    for (const topic of topics) expect(tree.match(topic).size).toBe(0);
  });

  it('the tree gives each client the best QoS of its filters, and what is left when one goes', () => {
    const tree = new SubscriptionTree();
    tree.add('a/#', 'one', 1);
    tree.add('a/b', 'one', 2);
    tree.add('a/+', 'two', 1);
    expect(Object.fromEntries(tree.match('a/b'))).toEqual({ one: 2, two: 1 });
    tree.remove('a/b', 'one');
    tree.remove('a/b', 'two');
    tree.remove('nothing/there', 'one');
    expect(Object.fromEntries(tree.match('a/b'))).toEqual({ one: 1, two: 1 });
    tree.add('a/#', 'one', 2);
    expect(tree.match('a').get('one')).toBe(2);
  });
});

describe('what is legal', () => {
  it.each([
    ['a', null],
    ['/', null],
    ['a b/ü/€', null],
    ['', 'empty'],
    ['a/+', 'wildcard'],
    ['#', 'wildcard'],
    ['a\0', 'U+0000'],
    ['a\ufffd', 'UTF-8'],
    ['a\ud800', 'UTF-8'],
    ['$SYS/a', 'reserved'],
    ['x'.repeat(65_536), 'longer'],
    ['/'.repeat(100), '100 levels'],
    ['/'.repeat(99), null],
  ])('the topic %j', (topic, problem) => {
    if (problem === null) expect(topicProblem(topic)).toBeNull();
    else expect(topicProblem(topic)).toContain(problem);
  });

  it.each([
    ['#', null],
    ['+/+/#', null],
    ['a/+/b', null],
    ['$SYS/#', null],
    ['a#', '`#`'],
    ['a/#/b', '`#`'],
    ['a+', '`+`'],
    ['a/+b', '`+`'],
    ['', 'empty'],
    ['a\0', 'U+0000'],
  ])('the filter %j', (filter, problem) => {
    if (problem === null) expect(filterProblem(filter)).toBeNull();
    else expect(filterProblem(filter)).toContain(problem);
  });
});

describe('routes', () => {
  it('take their defaults, the first match wins, without one the default holds', () => {
    const routes = routesSchema.parse([
      { match: 'plant/+/alarm', class: 'alarm', stream: 'alarms' },
      { match: 'plant/#', profile: 'json' },
      { match: 'serial:/dev/ttyUSB0', stream: 'port' },
      { match: 'serial:*', stream: 'ports', forward: false },
    ]);
    const streamOf = (kind: 'mqtt' | 'serial', name: string): string =>
      findRoute(routes, { kind, name }).stream;
    expect(findRoute(routes, { kind: 'mqtt', name: 'plant/1/alarm' })).toMatchObject({
      class: 'alarm',
      forward: true,
    });
    expect(findRoute(routes, { kind: 'mqtt', name: 'plant/1' })).toMatchObject({
      stream: 'telemetry',
      profile: 'json',
    });
    expect(findRoute(routes, { kind: 'mqtt', name: 'else' })).toBe(DEFAULT_ROUTE);
    expect(streamOf('serial', '/dev/ttyUSB0')).toBe('port');
    expect(streamOf('serial', '/dev/ttyUSB1')).toBe('ports');
    expect(streamOf('mqtt', 'serial:/dev/ttyUSB0')).toBe('telemetry');
  });

  it.each([
    [{ match: 'a/#/b' }, '`#`'],
    [{ match: '' }, 'empty'],
    [{ match: 'serial:' }, 'port path'],
    [{ match: 'a', stream: 'sp ace' }, '1 to 117'],
    [{ match: 'a', stream: 'x'.repeat(118) }, '1 to 117'],
    [{ match: 'a', class: 'urgent' }, 'alarm'],
    [{ match: 'a', profil: 'x' }, 'profil'],
    [{}, 'match'],
  ])('refuses %j', (route, text) => {
    const result = routesSchema.safeParse([route]);
    expect(result.success).toBe(false);
    expect(JSON.stringify(result.error?.issues)).toContain(text);
  });
});
