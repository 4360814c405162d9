// Goal: the races that whole clients cannot be made to lose on demand. Method: the broker's parts alone, in the bad order.
import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import type { PublishPacket } from 'aedes';
import { afterEach, describe, expect, it } from 'vitest';
import type { AedesClient, RoutedPacket } from '../../gateway/mqtt/aedes-inside.ts';
import { Connection } from '../../gateway/mqtt/connection.ts';
import { Hub } from '../../gateway/mqtt/hub.ts';
import { InboundIds } from '../../gateway/mqtt/inbound-ids.ts';
import { DEFAULT_MQTT_LIMITS } from '../../gateway/mqtt/options.ts';
import { publishHead, pubrelBytes } from '../../gateway/mqtt/publish-bytes.ts';
import { Refusals } from '../../gateway/mqtt/refusals.ts';
import { Persistence } from '../../gateway/mqtt/persistence.ts';
import { RetainedMessages } from '../../gateway/mqtt/retained.ts';
import { Sessions } from '../../gateway/mqtt/sessions.ts';
import { openLog } from '../../runtime/log-writer.ts';
import { MetricsRegistry } from '../../runtime/metrics.ts';
import { FakeMeta, metricOf } from './mqtt-rig.ts';
import type { LogLine } from './mqtt-rig.ts';

function refusals() {
  const metrics = new MetricsRegistry();
  const lines: LogLine[] = [];
  const log = openLog('mqtt', {
    level: 'warn',
    write: (line) => void lines.push(JSON.parse(line) as LogLine),
  });
  const time = { us: 0n };
  const clock = { wallMs: () => 0, monotonicUs: () => time.us };
  return {
    refused: new Refusals(log, clock, metrics.counter('r_total', 'r'), 'refused'),
    metrics,
    lines,
    time,
  };
}

const openSessions = (): Sessions => new Sessions(DEFAULT_MQTT_LIMITS, refusals().refused);

async function openPersistence(): Promise<Persistence> {
  return new Persistence({
    sessions: openSessions(),
    retained: new RetainedMessages(10, 1_000),
    inboundIds: await InboundIds.open(new FakeMeta(), DEFAULT_MQTT_LIMITS),
    isRepeat: () => false,
    onReleased: () => undefined,
    connectionOf: () => undefined,
    dropped: refusals().refused,
  });
}

const message = (payload: string, retain = false): PublishPacket => ({
  cmd: 'publish',
  topic: 't',
  payload: Buffer.from(payload),
  qos: 1,
  retain,
  dup: false,
});

describe('Hub', () => {
  let hub: Hub;
  afterEach(() => new Promise<void>((done) => hub.close(done)));

  it('routes publishes in their order though storing some takes longer', async () => {
    const persistence = await openPersistence();
    persistence.storeRetained = () => new Promise((resolve) => setTimeout(resolve, 5));
    hub = await Hub.open({ persistence });
    const routed: string[] = [];
    await new Promise<void>((done) =>
      hub.subscribe(
        't',
        (packet, next) => {
          routed.push(packet.payload.toString());
          next();
        },
        done,
      ),
    );
    const texts = Array.from({ length: 9 }, (_, number) => String(number));
    await Promise.all(
      texts.map(
        (text, number) =>
          new Promise<void>((done) => hub.publish(message(text, number % 3 === 0), () => done())),
      ),
    );
    expect(routed).toEqual(texts);
    expect(hub.unfinished).toBe(0);
  });

  it('goes on after a publish that fails', async () => {
    const persistence = await openPersistence();
    persistence.storeRetained = () => Promise.reject(new Error('no'));
    hub = await Hub.open({ persistence });
    const outcomes = await Promise.all(
      [true, false].map(
        (retain) => new Promise((done) => hub.publish(message('x', retain), (error) => done(error?.message))),
      ),
    );
    expect(outcomes).toEqual(['no', undefined]);
  });

  it('knows who has a client id after any order of ends and beginnings', async () => {
    hub = await Hub.open({ persistence: await openPersistence() });
    const client = (closed = false): AedesClient =>
      ({ id: 'same', closed, close: (done: () => void) => done() }) as unknown as AedesClient;
    const old = client();
    const taker = client();
    hub._finishRegisterClient(old);
    hub._finishRegisterClient(taker);
    hub.unregisterClient(old);
    expect(hub.clientOf('same')).toBe(taker);
    expect(hub.connectedClients).toBe(1);
    hub._finishRegisterClient(client(true));
    expect(hub.clientOf('same')).toBe(taker);
    hub.unregisterClient(taker);
    expect(hub.clientOf('same')).toBeUndefined();
    expect(hub.connectedClients).toBe(0);
  });
});

describe('InboundIds', () => {
  const key = { clientId: 'c', packetId: 5, fingerprint: Buffer.of(1) };

  it('is not emptied by the late end of a connection that was taken over', async () => {
    const meta = new FakeMeta();
    const ids = await InboundIds.open(meta, DEFAULT_MQTT_LIMITS);
    const [old, taker] = [{}, {}];
    await ids.attach('c', old, false);
    await ids.attach('c', taker, true);
    await ids.take(key, async (side) => meta.apply(side));
    await ids.discard('c', old);
    ids.detach('c', old);
    expect(ids.repeated(key)).toBeNull();
    expect(meta.rows.size).toBe(1);
    await ids.discard('c', taker);
    expect(ids.repeated(key)).toBeUndefined();
    expect(meta.rows.size).toBe(0);
    expect(ids.stored).toBe(0);
  });

  it('keeps an id that is taken anew while its release is under way', async () => {
    const meta = new FakeMeta();
    const ids = await InboundIds.open(meta, DEFAULT_MQTT_LIMITS);
    await ids.attach('c', ids, true);
    await ids.take(key, async (side) => meta.apply(side));
    let letGo: () => void = () => undefined;
    meta.held = new Promise((resolve) => {
      letGo = resolve;
    });
    const releasing = ids.release('c', 5);
    const again = { ...key, fingerprint: Buffer.of(2) };
    const taking = ids.take(again, async (side) => {
      await meta.held;
      await Promise.resolve();
      meta.apply(side);
    });
    letGo();
    await Promise.all([releasing, taking]);
    expect(ids.repeated(again)).toBeNull();
    expect([...meta.rows.values()]).toEqual([Buffer.of(2)]);
    expect(ids.stored).toBe(1);
  });

  it('waits with a new session for what the old connection still commits', async () => {
    const meta = new FakeMeta();
    const ids = await InboundIds.open(meta, DEFAULT_MQTT_LIMITS);
    const [old, taker] = [{}, {}];
    await ids.attach('c', old, true);
    let letGo: () => void = () => undefined;
    const commit = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const taking = ids.take(key, async (side) => {
      await commit;
      meta.apply(side);
    });
    await ids.attach('c', taker, false);
    const discarding = ids.discard('c', taker);
    letGo();
    await Promise.all([taking, discarding]);
    expect(meta.rows.size).toBe(0);
  });

  it('counts the rows it finds at start', async () => {
    const meta = new FakeMeta();
    const before = await InboundIds.open(meta, DEFAULT_MQTT_LIMITS);
    await before.attach('c', before, true);
    await before.take(key, async (side) => meta.apply(side));
    expect((await InboundIds.open(meta, DEFAULT_MQTT_LIMITS)).stored).toBe(1);
  });
});

describe('Persistence', () => {
  it('keeps the will of a connection when the one before it ends late', async () => {
    const persistence = await openPersistence();
    const old = { id: 'c', closed: true, conn: {} } as unknown as AedesClient;
    const taker = { id: 'c', closed: false, conn: {} } as unknown as AedesClient;
    await persistence.putWill(old, message('old'));
    await persistence.delWill(taker);
    await persistence.putWill(taker, message('new'));
    await persistence.delWill({ id: 'c' });
    expect((await persistence.getWill(taker))?.payload.toString()).toBe('new');
    Object.assign(taker, { closed: true });
    await persistence.delWill({ id: 'c' });
    expect(await persistence.getWill(taker)).toBeUndefined();
  });
});

describe('Connection', () => {
  it('sends nothing before CONNACK, nothing that is not granted, nothing twice', async () => {
    const written: Buffer[] = [];
    const socket = new Duplex({
      read: () => undefined,
      write: (chunk: Buffer, _encoding, done) => {
        written.push(chunk);
        done();
      },
    });
    const client = {
      id: 'c',
      clean: true,
      closed: false,
      _nextBatch: () => undefined,
    } as unknown as AedesClient;
    const { refused } = refusals();
    const connection = new Connection(client, socket as unknown as Socket, {
      sessions: openSessions(),
      limits: DEFAULT_MQTT_LIMITS,
      refused,
      dropped: refused,
      isHeld: () => false,
    });
    connection.wire(undefined);
    connection.filters.grant('t', 1);
    const routed = (counter: number, topic = 't'): RoutedPacket => ({
      ...message('x'),
      topic,
      qos: 0,
      brokerId: 'b',
      brokerCounter: counter,
    });
    client.deliver0(routed(1), () => undefined);
    expect(written).toEqual([]);
    connection.ready();
    client.deliver0(routed(2), () => undefined);
    client.deliverQoS(routed(2), () => undefined);
    client.deliver0(routed(3, 'u'), () => undefined);
    expect(written.map((bytes) => bytes.toString('hex'))).toEqual(['3004000174' + '78']);
    connection.filters.revoke('t');
    client.deliver0(routed(4), () => undefined);
    expect(written).toHaveLength(1);
    socket.destroy();
  });
});

describe('Refusals', () => {
  it('count each, log the first of a cause and then once a minute with what was not logged', () => {
    const { refused, metrics, lines, time } = refusals();
    for (let round = 0; round < 5; round += 1) refused.add('full', { round });
    refused.add('other');
    time.us = 60_000_000n;
    refused.add('full');
    expect(metricOf(metrics, 'r_total{reason="full"}')).toBe(6);
    expect(lines.map(({ reason, round, unlogged }) => ({ reason, round, unlogged }))).toEqual([
      { reason: 'full', round: 0, unlogged: undefined },
      { reason: 'other', round: undefined, unlogged: undefined },
      { reason: 'full', round: undefined, unlogged: 4 },
    ]);
  });
});

describe('bytes of PUBLISH and PUBREL', () => {
  const base = {
    topic: 'ä',
    payload: Buffer.alloc(0),
    qos: 0,
    retain: false,
    isRepeat: false,
    messageId: 0,
  } as const;

  it.each([
    [base, '30040002c3a4'],
    [{ ...base, qos: 1, messageId: 258, isRepeat: true, retain: true } as const, '3b060002c3a40102'],
    [{ ...base, payload: Buffer.alloc(123) }, '307f0002c3a4'],
    [{ ...base, payload: Buffer.alloc(124) }, '3080010002c3a4'],
    [{ ...base, payload: Buffer.alloc(2_097_148) }, '308080800' + '10002c3a4'],
  ])('%#', (packet, expected) => {
    expect(publishHead(packet).toString('hex')).toBe(expected);
  });

  it('PUBREL', () => {
    expect(pubrelBytes(0x1234).toString('hex')).toBe('62021234');
  });
});
