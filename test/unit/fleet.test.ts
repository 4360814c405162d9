// Goal: one gateway has one session, copies of its disk are told from it, and an operator sees what happened.
// Method: the registry over the store in memory, sessions played by hand.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import type { MemoryStore } from '../../storage/memory/memory-store.ts';
import type { Log } from '../../stream/ports.ts';
import type { SessionGrant } from '../../sync/ports.ts';
import { EVENTS_MAX, withEvent } from '../../server/fleet/event-log.ts';
import { GatewayRegistry } from '../../server/fleet/gateway-registry.ts';
import { isStreamPattern, matchesAny } from '../../server/fleet/stream-pattern.ts';

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  notice: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};
const sealer = {
  seal: (plain: Uint8Array, context: string) =>
    Buffer.concat([Buffer.from(`${context}|`), Buffer.from(plain).map((byte) => byte ^ 0x55)]),
  open: (sealed: Uint8Array, context: string) =>
    Buffer.from(sealed.subarray(Buffer.byteLength(context) + 1)).map((byte) => byte ^ 0x55),
};

let nowMs = 1_800_000_000_000;
const clock = { wallMs: () => nowMs, monotonicUs: () => BigInt(nowMs) * 1000n };
let store: MemoryStore;
let registry: GatewayRegistry;
let token = '';

const open = (takeOverMs = 1_000): Promise<GatewayRegistry> =>
  GatewayRegistry.open(store.meta, sealer, clock, silent, { gatewaysMax: 10, takeOverMs });

beforeEach(async () => {
  nowMs = 1_800_000_000_000;
  store = await openMemoryStore({ clock });
  registry = await open();
  const row = await registry.enrol({
    id: 'g1',
    name: 'barn',
    publicKey: 'cHVibGlj',
    allowedStreams: ['telemetry', 'telemetry.*'],
  });
  token = row.token;
});
afterEach(() => store.close());

/** A session whose take-over ends it, as the real one does. */
async function begin(
  withToken: string,
  on = registry,
): Promise<{ grant: SessionGrant; wasTakenOver: () => boolean }> {
  let taken = false;
  const held: { grant: SessionGrant | null } = { grant: null };
  const grant = await on.begin('g1', withToken, '1.2.3', () => {
    taken = true;
    held.grant?.end();
    return Promise.resolve();
  });
  held.grant = grant;
  return { grant, wasTakenOver: () => taken };
}

const only = () => {
  const [view] = registry.list();
  if (view === undefined) throw new Error('there is a gateway');
  return view;
};

describe('tokens', () => {
  it('roll with every session, and the one before is good until the new one is confirmed', async () => {
    const first = await begin(token);
    expect(first.grant.token).not.toBe(token);
    expect(first.grant.token).toMatch(/^[\w-]{43}$/);
    first.grant.end();
    // The welcome was lost: the gateway still has the old one.
    const second = await begin(token);
    second.grant.confirm();
    second.grant.end();
    expect(only().events).toEqual([]);
    // Now it is a token of the past.
    const third = await begin(token);
    expect(only().events).toMatchObject([{ kind: 'restored', count: 1 }]);
    third.grant.end();
    await begin(third.grant.token);
    expect(only().events).toHaveLength(1);
  });

  it('are durable when the session begins', async () => {
    const { grant } = await begin(token);
    registry = await open();
    const again = await begin(grant.token);
    expect(only().events).toEqual([]);
    again.grant.end();
  });

  it('stay what they were when the store refuses', async () => {
    store.failNext('ENOSPC');
    await expect(begin(token)).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    expect(only().isOnline).toBe(false);
    await begin(token);
    expect(only()).toMatchObject({ isOnline: true, events: [] });
  });

  it('are not readable in the store', async () => {
    const { grant } = await begin(token);
    for await (const { value } of store.meta.list('gateway'))
      expect(Buffer.from(value).toString('latin1')).not.toContain(grant.token);
  });
});

describe('copies', () => {
  it('are refused while the gateway is connected, and the gateway stays', async () => {
    const first = await begin(token);
    first.grant.confirm();
    for (let n = 0; n < 3; n += 1)
      await expect(begin(token)).rejects.toMatchObject({ code: 'GATEWAY_CLONED', retryable: true });
    expect(first.wasTakenOver()).toBe(false);
    expect(only()).toMatchObject({
      isOnline: true,
      events: [
        { kind: 'cloned', count: 3, message: expect.stringContaining('copy of this gateway') as unknown },
      ],
    });
    expect(first.grant.mayFeed('telemetry')).toBe(true);
  });

  it('that come together: one of them is let in', async () => {
    const first = await begin(token);
    first.grant.confirm();
    first.grant.end();
    const both = await Promise.allSettled([begin('stale-a'), begin('stale-b')]);
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  });

  it('leave a trace that survives a restart', async () => {
    const { grant } = await begin(token);
    grant.confirm();
    await expect(begin('stale')).rejects.toMatchObject({ code: 'GATEWAY_CLONED' });
    // A durable write carries the lazy ones.
    await store.meta.put('any', Buffer.of(1), 'any');
    registry = await open();
    expect(only().events).toMatchObject([{ kind: 'cloned' }]);
  });
});

describe('a session', () => {
  it('is taken over by its own gateway, and the old one has no say any more', async () => {
    const first = await begin(token);
    const second = await begin(first.grant.token);
    expect(first.wasTakenOver()).toBe(true);
    first.grant.end();
    first.grant.status({ records: 99, bytes: 99, oldestUnsentMs: 9, evictedRecords: 9 });
    expect(first.grant.mayFeed('telemetry')).toBe(false);
    expect(only()).toMatchObject({ isOnline: true, backlog: { records: 0 } });
    second.grant.end();
    expect(only().isOnline).toBe(false);
  });

  it('that does not end in time keeps its place', async () => {
    registry = await open(20);
    await registry.begin('g1', token, '1', () => new Promise(() => undefined));
    await expect(begin(token)).rejects.toMatchObject({ code: 'BUSY', retryable: true });
    expect(only().isOnline).toBe(true);
  });

  it('may feed the streams of its enrolment and no other', async () => {
    const { grant } = await begin(token);
    const asked = ['telemetry', 'telemetry.1m', 'telemetry2', 'other', ''];
    expect(asked.filter((stream) => grant.mayFeed(stream))).toEqual(['telemetry', 'telemetry.1m']);
  });

  it('of an unknown gateway is refused', async () => {
    expect(await registry.publicKeyOf('g2')).toBeNull();
    await expect(registry.begin('g2', token, '1', () => Promise.resolve())).rejects.toMatchObject({
      code: 'GATEWAY_UNKNOWN',
    });
  });

  it('shows its backlog as reported, and older when it went offline since', async () => {
    const { grant } = await begin(token);
    grant.status({ records: 5, bytes: 500, oldestUnsentMs: 1_000, evictedRecords: 2 });
    nowMs += 4_000;
    expect(only()).toMatchObject({
      programVersion: '1.2.3',
      lastSeenAtMs: nowMs - 4_000,
      lastBatchAtMs: null,
      backlog: { records: 5, bytes: 500, oldestUnsentMs: 1_000, evictedRecords: 2 },
    });
    grant.end();
    expect(only().backlog).toMatchObject({ records: 5, oldestUnsentMs: 5_000 });
    nowMs += 1_000;
    expect(only().backlog.oldestUnsentMs).toBe(6_000);
  });

  it('tells when it sent records last', async () => {
    const { grant } = await begin(token);
    grant.received(5, 500);
    expect(only()).toMatchObject({ lastBatchAtMs: nowMs, lastSeenAtMs: nowMs });
  });
});

describe('removal', () => {
  it('ends the session and refuses the gateway from then on', async () => {
    const { grant, wasTakenOver } = await begin(token);
    expect(await registry.remove('g1')).toBe(true);
    expect(await registry.remove('g1')).toBe(false);
    expect(wasTakenOver()).toBe(true);
    expect(grant.mayFeed('telemetry')).toBe(false);
    grant.report({ kind: 'gap', message: 'late' });
    await expect(begin(grant.token)).rejects.toMatchObject({ code: 'GATEWAY_UNKNOWN' });
    await store.meta.put('any', Buffer.of(1), 'any');
    expect((await open()).list()).toEqual([]);
  });
});

describe('events', () => {
  it('are bounded, and repeated ones are counted and come last', () => {
    let events = withEvent([], { kind: 'gap', message: 'first' }, 0);
    for (let n = 1; n < EVENTS_MAX; n += 1)
      events = withEvent(events, { kind: 'gap', message: String(n) }, n);
    events = withEvent(events, { kind: 'gap', message: 'first' }, 100);
    expect(events).toHaveLength(EVENTS_MAX);
    expect(events.at(-1)).toEqual({ kind: 'gap', message: 'first', atMs: 100, count: 2 });
    events = withEvent(events, { kind: 'forked', message: 'x'.repeat(10_000) }, 101);
    expect(events).toHaveLength(EVENTS_MAX);
    expect(events.at(-1)?.message).toHaveLength(512);
    expect(events[0]?.message).toBe('2');
  });
});

describe('stream patterns', () => {
  it('are names, or beginnings and a star', () => {
    const good = ['telemetry', 'telemetry.*', '*', 'a-b_c.d'];
    expect(good.filter(isStreamPattern)).toEqual(good);
    expect(['', 'a*b', '**', 'a b', 'x'.repeat(129), 'ä'].filter(isStreamPattern)).toEqual([]);
    expect(matchesAny(['a.*'], 'a')).toBe(false);
    expect(matchesAny(['*'], 'anything')).toBe(true);
    expect(matchesAny([], 'a')).toBe(false);
  });
});
