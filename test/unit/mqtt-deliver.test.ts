// Goal: what is acknowledged reaches its subscribers, once per subscriber, in order, with the right flags and QoS,
// within bounds. Method: real clients and raw sockets on a real broker; each test is a defect of aedes 1.2 or a bound.
import { once } from 'node:events';
import type { MqttClient } from 'mqtt';
import { afterEach, describe, expect, it } from 'vitest';
import {
  CONNACK_PRESENT,
  PINGRESP,
  connectPacket,
  disconnectPacket,
  openRig,
  pingPacket,
  puback,
  pubcomp,
  publishPacket,
  pubrec,
  subscribePacket,
  until,
} from './mqtt-rig.ts';
import type { RawClient, RawConnect, Rig } from './mqtt-rig.ts';

let rig: Rig;
afterEach(() => rig.close());

async function connected(options: RawConnect = {}): Promise<RawClient> {
  const raw = await rig.raw();
  raw.send(connectPacket(options));
  expect(await raw.next()).toMatch(/^2002..00$/);
  return raw;
}

/** A persistent raw subscriber; the SUBACK has come. */
async function subscriber(filter: string, qos: 0 | 1 | 2, id = 'sub', clean = false): Promise<RawClient> {
  const raw = await connected({ id, clean });
  raw.send(subscribePacket(filter, qos));
  expect(await raw.next()).toBe(`900300010${qos}`);
  return raw;
}

/** The broker has handled everything that came before on this connection. */
async function roundTrip(raw: RawClient): Promise<void> {
  raw.send(pingPacket);
  for (let packet = await raw.next(); packet !== PINGRESP; packet = await raw.next()) {
    if (packet === 'closed') throw new Error('the broker closed the connection');
  }
}

function received(client: MqttClient): string[] {
  const texts: string[] = [];
  client.on('message', (_topic, payload) => texts.push(payload.toString()));
  return texts;
}

describe('nothing that is acknowledged is lost on the way to subscribers', () => {
  it.each([
    ['a persistent session', false],
    ['a clean session', true],
  ])('4 publishers, mixed QoS and RETAIN, %s gets all of 1000', async (_name, clean) => {
    rig = await openRig();
    const sub = await rig.client({ clientId: 'sub', clean });
    const texts = received(sub);
    await sub.subscribeAsync('t/#', { qos: 2 });
    const publishers = await Promise.all([0, 1, 2, 3].map(() => rig.client()));
    const sent: string[] = [];
    await Promise.all(
      publishers.map(async (publisher, who) => {
        for (let round = 0; round < 250; round += 10) {
          const batch = Array.from({ length: 10 }, (_, index) => round + index);
          await Promise.all(
            batch.map((number) => {
              sent.push(`${who}-${number}`);
              const qos = ([0, 1, 2] as const)[number % 3] ?? 0;
              const options = { qos, retain: number % 4 === 0 };
              return publisher.publishAsync(`t/${who}`, `${who}-${number}`, options);
            }),
          );
        }
      }),
    );
    await until(() => texts.length >= sent.length);
    expect(texts.toSorted()).toEqual(sent.toSorted());
  });

  it('keeps the order of one topic though only some are retained', async () => {
    rig = await openRig();
    const sub = await rig.client({ clientId: 'sub', clean: false });
    const texts = received(sub);
    await sub.subscribeAsync('t', { qos: 1 });
    const raw = await connected();
    const numbers = Array.from({ length: 60 }, (_, index) => index + 1);
    raw.send(
      ...numbers.map((id) =>
        publishPacket({ topic: 't', payload: String(id), qos: 1, id, retain: id % 3 === 0 }),
      ),
    );
    await until(() => texts.length === numbers.length);
    expect(texts).toEqual(numbers.map(String));
  });

  it('sends a session what came while it was away, in order, after CONNACK', async () => {
    rig = await openRig();
    const sub = await subscriber('t/#', 1);
    sub.send(disconnectPacket);
    await sub.whenClosed();
    const publisher = await rig.client();
    for (let number = 0; number < 250; number += 1)
      await publisher.publishAsync('t/x', String(number), { qos: 1 });
    const back = await rig.client({ clientId: 'sub', clean: false });
    const texts = received(back);
    await until(() => texts.length === 250);
    expect(texts).toEqual(Array.from({ length: 250 }, (_, number) => String(number)));
    await until(() => rig.metric('mqtt_queued_bytes') === 0);
  });

  it('sends nothing before CONNACK and everything after, while others publish', async () => {
    rig = await openRig();
    const sub = await subscriber('t', 1);
    const publisher = await connected({ id: 'pub' });
    for (let round = 0; round < 30; round += 1) {
      sub.destroy();
      const back = await rig.raw();
      back.send(connectPacket({ id: 'sub', clean: false }));
      publisher.send(publishPacket({ topic: 't', qos: 1, id: 1 + round, payload: String(round) }));
      expect(await back.next()).toBe(CONNACK_PRESENT);
      const publish = Buffer.from(await back.next(), 'hex');
      expect(publish.subarray(7).toString()).toBe(String(round));
      const id = publish.readUInt16BE(5);
      back.send(puback(id));
      await roundTrip(back);
      back.send(disconnectPacket);
      await back.whenClosed();
    }
  });
});

describe('flags and QoS', () => {
  it('sends again with DUP and the same packet id, without RETAIN', async () => {
    rig = await openRig();
    const sub = await subscriber('t', 1);
    const publisher = await rig.client();
    await publisher.publishAsync('t', 'x', { qos: 1, retain: true });
    const first = await sub.next();
    expect(first).toMatch(/^3206000174....78$/);
    sub.destroy();
    const back = await rig.raw();
    back.send(connectPacket({ id: 'sub', clean: false }));
    expect(await back.next()).toBe(CONNACK_PRESENT);
    expect(await back.next()).toBe(`3a${first.slice(2)}`);
    const id = Number.parseInt(first.slice(10, 14), 16);
    back.send(puback(id), disconnectPacket);
    await back.whenClosed();
    const again = await rig.raw();
    again.send(connectPacket({ id: 'sub', clean: false }), pingPacket);
    expect([await again.next(), await again.next()]).toEqual([CONNACK_PRESENT, PINGRESP]);
  });

  it('sends PUBREL again, not PUBLISH, when PUBREC had come', async () => {
    rig = await openRig();
    const sub = await subscriber('t', 2);
    const publisher = await rig.client();
    await publisher.publishAsync('t', 'x', { qos: 2 });
    const id = Buffer.from(await sub.next(), 'hex').readUInt16BE(5);
    const hex = id.toString(16).padStart(4, '0');
    sub.send(pubrec(id));
    expect(await sub.next()).toBe(`6202${hex}`);
    sub.destroy();
    const back = await rig.raw();
    back.send(connectPacket({ id: 'sub', clean: false }));
    expect([await back.next(), await back.next()]).toEqual([CONNACK_PRESENT, `6202${hex}`]);
    back.send(pubcomp(id));
    await until(() => rig.metric('mqtt_queued_bytes') === 0);
  });

  it('a retained QoS 2 message to a persistent session is queued, and sent again when it was not acknowledged', async () => {
    rig = await openRig();
    const publisher = await rig.client();
    await publisher.publishAsync('t', 'x', { qos: 2, retain: true });
    const sub = await subscriber('#', 2);
    const first = await sub.next();
    expect(first).toMatch(/^3506000174....78$/);
    const id = Number.parseInt(first.slice(10, 14), 16);
    sub.destroy();
    const back = await rig.raw();
    back.send(connectPacket({ id: 'sub', clean: false }));
    expect([await back.next(), await back.next()]).toEqual([CONNACK_PRESENT, `3d${first.slice(2)}`]);
    back.send(pubrec(id));
    expect(await back.next()).toBe(`6202${first.slice(10, 14)}`);
    back.send(pubcomp(id));
    await until(() => rig.metric('mqtt_queued_bytes') === 0);
  });

  it('answers a PUBREC that belongs to nothing', async () => {
    rig = await openRig();
    const sub = await subscriber('t', 2);
    sub.send(pubrec(77));
    expect(await sub.next()).toBe('6202004d');
    await roundTrip(sub);
  });

  it.each([
    ['QoS 2 to a wildcard filter of QoS 1', 2, [['+', 1]], /^32/],
    ['QoS 1 to a wildcard filter of QoS 0', 1, [['#', 0]], /^30/],
    [
      'QoS 2 to an exact filter of QoS 0 and a wildcard of QoS 2',
      2,
      [
        ['t', 0],
        ['#', 2],
      ],
      /^34/,
    ],
    [
      'QoS 2 to a wildcard of QoS 1 and an exact filter of QoS 2',
      2,
      [
        ['#', 1],
        ['t', 2],
      ],
      /^34/,
    ],
  ] as const)('%s: the best of the matching filters, once', async (_name, qos, filters, first) => {
    for (const [clean, retain] of [
      [true, false],
      [false, false],
      [true, true],
      [false, true],
    ] as const) {
      rig = await openRig();
      const publisher = await rig.client();
      if (retain) await publisher.publishAsync('t', 'x', { qos, retain });
      const sub = await connected({ id: 'sub', clean });
      let best = 0;
      for (const [index, [filter, granted]] of filters.entries()) {
        sub.send(subscribePacket(filter, granted, index + 1));
        expect(await sub.next()).toBe(`9003000${index + 1}0${granted}`);
        best = Math.max(best, Math.min(granted, qos));
        // A retained message comes with each SUBSCRIBE, at the best QoS granted until then.
        if (retain) expect((await sub.next()).slice(0, 2)).toBe((0x31 | (best << 1)).toString(16));
      }
      if (!retain) {
        await publisher.publishAsync('t', 'x', { qos });
        expect(await sub.next()).toMatch(first);
      }
      sub.send(pingPacket);
      expect(await sub.next()).toBe(PINGRESP);
      await rig.close();
    }
    rig = await openRig();
  });

  it('queues for an absent session at the lower of both QoS', async () => {
    rig = await openRig();
    const sub = await subscriber('#', 1);
    sub.send(disconnectPacket);
    await sub.whenClosed();
    const publisher = await rig.client();
    await publisher.publishAsync('t', 'x', { qos: 2 });
    const back = await rig.raw();
    back.send(connectPacket({ id: 'sub', clean: false }));
    expect([await back.next(), await back.next()]).toEqual([
      CONNACK_PRESENT,
      expect.stringMatching(/^3206000174/),
    ]);
  });
});

describe('bounds', () => {
  it('a refused filter gets SUBACK 0x80 and nothing, neither now nor after a reconnect', async () => {
    rig = await openRig({ filtersPerClientMax: 1 });
    const sub = await rig.client({ clientId: 'sub', clean: false });
    const texts = received(sub);
    const granted = await sub
      .subscribeAsync({ yes: { qos: 1 }, no: { qos: 1 } })
      .catch((error: Error) => error);
    expect(granted).toBeInstanceOf(Error);
    await sub.endAsync(true);
    const publisher = await rig.client();
    await publisher.publishAsync('no', 'no', { qos: 1 });
    await publisher.publishAsync('yes', 'yes', { qos: 1 });
    const back = await rig.raw();
    back.send(connectPacket({ id: 'sub', clean: false }));
    expect(await back.next()).toBe(CONNACK_PRESENT);
    expect(await back.next()).toMatch(/^320a0003796573/);
    back.send(pingPacket);
    expect(await back.next()).toBe(PINGRESP);
    expect(texts).toEqual([]);
    expect(rig.metric('mqtt_refused_total', '{reason="filters_max"}')).toBe(1);
  });

  it.each([
    ['messages', { queueMessagesMax: 5 }, 5],
    ['bytes', { queueBytesMax: 1_000 }, 3],
    ['bytes of all', { queuesBytesMax: 1_000 }, 3],
  ])(
    'the queue of an absent session is bounded in %s; what is dropped is counted',
    async (_name, limits, kept) => {
      rig = await openRig(limits);
      const sub = await subscriber('#', 1);
      sub.send(disconnectPacket);
      await sub.whenClosed();
      const publisher = await rig.client();
      for (let number = 0; number < 8; number += 1) {
        await publisher.publishAsync('t', String(number).repeat(100), { qos: 1 });
      }
      expect(rig.intake.durable).toHaveLength(8);
      await until(() => rig.metric('mqtt_dropped_total', '{reason="queue_full"}') === 8 - kept);
      const back = await rig.client({ clientId: 'sub', clean: false });
      const texts = received(back);
      await until(() => texts.length === kept);
      expect(texts.map((text) => text[0])).toEqual(
        Array.from({ length: kept }, (_, number) => String(number)),
      );
    },
  );

  it('beyond sessionsMax the session that has been away longest ends', async () => {
    rig = await openRig({ sessionsMax: 2 });
    for (const id of ['one', 'two', 'one', 'three']) {
      const sub = await subscriber('t', 1, id);
      sub.send(disconnectPacket);
      await sub.whenClosed();
      await until(() => rig.broker.clients === 0);
    }
    expect(rig.metric('mqtt_dropped_total', '{reason="session_evicted"}')).toBe(1);
    const presence: string[] = [];
    for (const id of ['three', 'one', 'two']) {
      const back = await rig.raw();
      back.send(connectPacket({ id, clean: false }));
      presence.push(await back.next());
    }
    expect(presence).toEqual(['20020100', '20020100', '20020000']);
  });

  it('retained messages are bounded in number; a full store keeps no old value of the topic', async () => {
    rig = await openRig({ retainedMax: 2, retainedBytesMax: 20 });
    const publisher = await rig.client();
    await publisher.publishAsync('a', '1', { qos: 1, retain: true });
    await publisher.publishAsync('b', '1', { qos: 1, retain: true });
    await publisher.publishAsync('c', '1', { qos: 1, retain: true });
    await publisher.publishAsync('b', 'much too large for it', { qos: 1, retain: true });
    await until(() => rig.metric('mqtt_dropped_total', '{reason="retained_full"}') === 2);
    const sub = await subscriber('#', 0);
    expect(await sub.next()).toBe('310400016131');
    await roundTrip(sub);
    await publisher.publishAsync('a', '', { qos: 1, retain: true });
    await until(() => rig.metric('mqtt_retained') === 0);
  });

  it('a subscriber that takes nothing stops nobody, loses QoS 0 with a count, and is let go', async () => {
    rig = await openRig({ unsentBytesMax: 64 * 1024, drainTimeoutMs: 300 });
    const slow = await subscriber('t', 0, 'slow', true);
    slow.socket.pause();
    const quick = await rig.client();
    const texts = received(quick);
    await quick.subscribeAsync('t', { qos: 1 });
    const publisher = await rig.client();
    const payload = 'x'.repeat(64 * 1024);
    for (let number = 0; number < 200; number += 1) await publisher.publishAsync('t', payload, { qos: 1 });
    await until(() => texts.length === 200);
    expect(rig.metric('mqtt_dropped_total', '{reason="subscriber_slow"}')).toBeGreaterThan(100);
    await until(() => rig.metric('mqtt_refused_total', '{reason="drain_timeout"}') === 1);
    await until(() => rig.broker.clients === 2);
  });

  it('a session that takes nothing keeps its queue within bounds and gets it later', async () => {
    rig = await openRig({ queueBytesMax: 3_000_000, drainTimeoutMs: 200 });
    const slow = await subscriber('t', 1, 'slow');
    slow.socket.pause();
    const publisher = await rig.client();
    const sent = Array.from({ length: 100 }, (_, number) => String(number).padStart(64 * 1024, '.'));
    for (const payload of sent) await publisher.publishAsync('t', payload, { qos: 1 });
    expect(rig.metric('mqtt_queued_bytes')).toBeLessThanOrEqual(3_000_000);
    expect(rig.metric('mqtt_dropped_total', '{reason="queue_full"}')).toBeGreaterThan(0);
    slow.destroy();
    await until(() => rig.broker.clients === 1);
    const back = await rig.client({ clientId: 'slow', clean: false });
    const texts = received(back);
    const kept = 100 - rig.metric('mqtt_dropped_total', '{reason="queue_full"}');
    await until(() => texts.length === kept);
    expect(texts).toEqual(sent.slice(0, kept));
  });

  it('keeps a window in flight, not everything', async () => {
    rig = await openRig({ outboundInflightMax: 3 });
    const sub = await subscriber('t', 1);
    const publisher = await rig.client();
    for (let number = 0; number < 10; number += 1)
      await publisher.publishAsync('t', String(number), { qos: 1 });
    await roundTripKeeping(sub, 3);
    for (let number = 3; number < 10; number += 1) {
      sub.send(puback(number - 2));
      expect(
        Buffer.from(await sub.next(), 'hex')
          .subarray(7)
          .toString(),
      ).toBe(String(number));
    }
  });
});

async function roundTripKeeping(raw: RawClient, publishes: number): Promise<void> {
  raw.send(pingPacket);
  for (let count = 0; count < publishes; count += 1) expect(await raw.next()).toMatch(/^32/);
  expect(await raw.next()).toBe(PINGRESP);
}

describe('what is a record', () => {
  it('a retained publish when it is published, not when it is replayed; $SYS never; a will when it is published', async () => {
    rig = await openRig();
    const watcher = await rig.client();
    await watcher.subscribeAsync(['#', '$SYS/#']);
    const publisher = await rig.client();
    await publisher.publishAsync('t', 'kept', { qos: 1, retain: true });
    const late = await rig.client();
    const texts = received(late);
    await late.subscribeAsync('t');
    await until(() => texts.length === 1);
    const dying = await connected({ id: 'dying', will: { topic: 'will', payload: 'dead', qos: 1 } });
    dying.destroy();
    await rig.intake.whenDurable(2);
    expect(rig.intake.durable).toEqual([
      { topic: 't', text: 'kept' },
      { topic: 'will', text: 'dead' },
    ]);
  });

  it('an orderly DISCONNECT publishes no will, an orderly close of the broker neither', async () => {
    rig = await openRig();
    const polite = await connected({ id: 'polite', will: { topic: 'will', payload: 'no' } });
    polite.send(disconnectPacket);
    await polite.whenClosed();
    const staying = await connected({ id: 'staying', will: { topic: 'will', payload: 'no' } });
    await rig.broker.close();
    await staying.whenClosed();
    expect(rig.intake.calls).toEqual([]);
  });
});

describe('take-over', () => {
  it('ends the old connection with its will; the will of the new one stays', async () => {
    rig = await openRig();
    const watcher = await rig.client();
    const texts = received(watcher);
    await watcher.subscribeAsync('will', { qos: 1 });
    const old = await connected({ id: 'same', will: { topic: 'will', payload: 'old', qos: 1 } });
    const taker = await connected({ id: 'same', will: { topic: 'will', payload: 'new', qos: 1 } });
    await old.whenClosed();
    await until(() => texts.length === 1);
    taker.send(pingPacket);
    expect(await taker.next()).toBe(PINGRESP);
    taker.destroy();
    await until(() => texts.length === 2);
    expect(texts).toEqual(['old', 'new']);
  });

  it('a storm of them leaves one client, its subscription, and a right count', async () => {
    rig = await openRig();
    const storm = await Promise.all(Array.from({ length: 20 }, () => rig.raw()));
    for (const raw of storm) raw.send(connectPacket({ id: 'same', clean: false }), subscribePacket('t', 1));
    await until(() => storm.filter((raw) => raw.isClosed).length === 19);
    await until(() => rig.broker.clients === 1);
    const alive = storm.find((raw) => !raw.isClosed);
    if (alive === undefined) throw new Error('none is left');
    await roundTrip(alive);
    const publisher = await rig.client();
    await publisher.publishAsync('t', 'x', { qos: 1 });
    expect(await alive.next()).toMatch(/^3206000174/);
    alive.destroy();
    await publisher.endAsync();
    await until(() => rig.broker.clients === 0);
  });
});

describe('close', () => {
  it('acknowledges what is in flight, takes nothing more, twice is once', async () => {
    rig = await openRig();
    rig.intake.hold();
    const raw = await connected();
    raw.send(publishPacket({ topic: 'a', qos: 1, id: 1 }));
    await rig.intake.whenCalled(1);
    const closing = rig.broker.close();
    expect(rig.broker.close()).toBe(closing);
    raw.send(publishPacket({ topic: 'a', qos: 1, id: 2 }));
    rig.intake.release();
    expect(await raw.next()).toBe('40020001');
    expect(await raw.next()).toBe('closed');
    await closing;
    expect(rig.intake.calls).toHaveLength(1);
  });

  it('ends in bounded time though a commit never does, without acknowledging it', async () => {
    rig = await openRig({ closeTimeoutMs: 50 });
    rig.intake.hold();
    const raw = await connected();
    raw.send(publishPacket({ topic: 'a', qos: 1, id: 1 }));
    await rig.intake.whenCalled(1);
    const ended = once(raw.socket, 'close');
    await rig.broker.close();
    await ended;
    expect(raw.waiting).toEqual([]);
  });
});
