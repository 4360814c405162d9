// Goal: a publish is acknowledged when its record is durable, never before, and once. Method: raw sockets on a real
// broker whose commits the test holds, lets go and fails.
import { afterEach, describe, expect, it } from 'vitest';
import { TributaryError } from '../../stream/errors.ts';
import {
  CONNACK,
  CONNACK_PRESENT,
  FakeMeta,
  PINGRESP,
  connectPacket,
  disconnectPacket,
  openRig,
  pingPacket,
  publishPacket,
  pubrel,
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

describe('QoS 1', () => {
  it('is acknowledged after the commit, not before', async () => {
    rig = await openRig();
    rig.intake.hold();
    const raw = await connected();
    raw.send(publishPacket({ topic: 'a', payload: 'x', qos: 1, id: 7 }));
    await rig.intake.whenCalled(1);
    // Another connection's round trip passes through the broker meanwhile.
    const other = await connected({ id: 'other' });
    other.send(pingPacket);
    expect(await other.next()).toBe(PINGRESP);
    expect(raw.waiting).toEqual([]);
    rig.intake.release();
    expect(await raw.next()).toBe('40020007');
    expect(rig.intake.texts()).toEqual(['x']);
  });

  it.each([
    [10, 5_000],
    [0, undefined],
  ])(
    'with a keepalive of %i s may wait for company in a commit for %s ms',
    async (keepalive, lingerMsMax) => {
      rig = await openRig();
      const raw = await connected({ keepalive });
      for (const qos of [0, 1, 2] as const) raw.send(publishPacket({ topic: 'a', payload: 'x', qos, id: 7 }));
      await rig.intake.whenCalled(3);
      const waits = rig.intake.calls.map((call) => call.lingerMsMax);
      if (lingerMsMax === undefined) expect(waits).toEqual([undefined, undefined, undefined]);
      else for (const wait of waits) expect(Math.round(wait ?? 0)).toBe(lingerMsMax);
    },
  );

  it('reaches the log in the order of arrival and is acknowledged in it, though commits end out of order', async () => {
    rig = await openRig();
    const releases: (() => void)[] = [];
    rig.intake.accept = async (item) => {
      rig.intake.calls.push(item);
      rig.intake.emit('call');
      await new Promise<void>((go) => releases.push(go));
    };
    const raw = await connected();
    raw.send(...[1, 2, 3].map((id) => publishPacket({ topic: 'a', payload: String(id), qos: 1, id })));
    await rig.intake.whenCalled(3);
    expect(rig.intake.calls.map(({ payload }) => Buffer.from(payload).toString())).toEqual(['1', '2', '3']);
    releases[2]?.();
    releases[1]?.();
    await new Promise(setImmediate);
    expect(raw.waiting).toEqual([]);
    releases[0]?.();
    expect([await raw.next(), await raw.next(), await raw.next()]).toEqual([
      '40020001',
      '40020002',
      '40020003',
    ]);
  });

  it('is not read on while much of the connection waits for the disk, and nothing is lost by that', async () => {
    rig = await openRig();
    rig.intake.hold();
    const raw = await connected();
    const payload = 'x'.repeat(100_000);
    for (let id = 1; id <= 60; id += 1) raw.send(publishPacket({ topic: 'a', payload, qos: 1, id }));
    await rig.intake.whenCalled(11);
    const other = await connected({ id: 'other' });
    for (let round = 0; round < 20; round += 1) {
      other.send(pingPacket);
      expect(await other.next()).toBe(PINGRESP);
    }
    expect(rig.intake.calls.length).toBeLessThan(20);
    rig.intake.release();
    for (let id = 1; id <= 60; id += 1)
      expect(await raw.next()).toBe(`4002${id.toString(16).padStart(4, '0')}`);
  });

  it.each([
    ['STORAGE_FULL', 'storage_full'],
    ['BUSY', 'busy'],
    ['RECORD_TOO_LARGE', 'record_too_large'],
  ] as const)('%s: not acknowledged, connection closed, counted, logged once', async (code, reason) => {
    rig = await openRig();
    rig.intake.failing = new TributaryError(code, 'no');
    for (let round = 1; round <= 2; round += 1) {
      const raw = await connected();
      raw.send(publishPacket({ topic: 'a', qos: 1 }));
      expect(await raw.next()).toBe('closed');
      await until(() => rig.metric('mqtt_refused_total', `{reason="${reason}"}`) === round);
    }
    expect(rig.lines.filter(({ event }) => event === 'refused')).toHaveLength(1);
    rig.intake.failing = null;
    const raw = await connected();
    raw.send(publishPacket({ topic: 'a', qos: 1, id: 9 }));
    expect(await raw.next()).toBe('40020009');
  });
});

describe('QoS 0', () => {
  it('is a record and does not hold the connection', async () => {
    rig = await openRig();
    rig.intake.hold();
    const raw = await connected();
    raw.send(publishPacket({ topic: 'a', payload: 'x' }), pingPacket);
    expect(await raw.next()).toBe(PINGRESP);
    rig.intake.release();
    await rig.intake.whenDurable(1);
    expect(rig.intake.durable).toEqual([{ topic: 'a', text: 'x' }]);
  });

  it('holds the connection at half of the buffer and is dropped above it, counted', async () => {
    rig = await openRig({ pendingQos0BytesMax: 100 });
    rig.intake.hold();
    const raw = await connected();
    raw.send(publishPacket({ topic: 'a', payload: 'x'.repeat(60) }));
    await rig.intake.whenCalled(1);
    raw.send(pingPacket);
    const other = await connected({ id: 'other' });
    other.send(publishPacket({ topic: 'b', payload: 'y'.repeat(60) }), pingPacket);
    expect(await other.next()).toBe(PINGRESP);
    expect(rig.metric('mqtt_dropped_total', '{reason="qos0_unrecorded"}')).toBe(1);
    expect(raw.waiting).toEqual([]);
    rig.intake.release();
    expect(await raw.next()).toBe(PINGRESP);
    expect(rig.intake.calls).toHaveLength(1);
  });

  it('is dropped and counted when the log fails; the connection stays', async () => {
    rig = await openRig();
    rig.intake.failing = new TributaryError('STORAGE_FULL', 'full');
    const raw = await connected();
    raw.send(publishPacket({ topic: 'a' }));
    await until(() => rig.metric('mqtt_dropped_total', '{reason="storage_full"}') === 1);
    raw.send(pingPacket);
    expect(await raw.next()).toBe(PINGRESP);
  });

  it('counts though the sender leaves without waiting for CONNACK', async () => {
    rig = await openRig();
    const raw = await rig.raw();
    raw.send(connectPacket(), publishPacket({ topic: 'a', payload: 'bye' }), disconnectPacket);
    raw.socket.end();
    await rig.intake.whenDurable(1);
    expect(rig.intake.texts()).toEqual(['bye']);
    await raw.whenClosed();
  });
});

describe('a repeat after the acknowledgement was lost', () => {
  const publish = { topic: 'a', payload: 'x', id: 5 } as const;
  const ACK = { 1: '40020005', 2: '50020005' } as const;

  it.each([
    ['QoS 1, with a client id', 1, 'sensor'],
    ['QoS 1, without one', 1, ''],
    ['QoS 2 of a clean session', 2, 'sensor'],
  ] as const)('is no second record, to this broker or the next one: %s', async (_name, qos, id) => {
    rig = await openRig();
    const first = await connected({ id });
    first.send(publishPacket({ ...publish, qos }));
    expect(await first.next()).toBe(ACK[qos]);
    first.destroy();
    const second = await connected({ id });
    second.send(publishPacket({ ...publish, qos, dup: true }));
    expect(await second.next()).toBe(ACK[qos]);
    expect(rig.intake.texts()).toEqual(['x']);
    const { meta } = rig;
    const notes = Buffer.concat(rig.intake.notes);
    await rig.close();
    rig = await openRig({}, meta, notes);
    const third = await connected({ id });
    third.send(publishPacket({ ...publish, qos, dup: true }));
    expect(await third.next()).toBe(ACK[qos]);
    expect(rig.intake.texts()).toEqual([]);
  });

  it('is a new message after DISCONNECT: the client had what was acknowledged', async () => {
    rig = await openRig();
    for (const dup of [false, true]) {
      const raw = await connected({ id: 'sensor' });
      raw.send(publishPacket({ ...publish, qos: 1, dup }));
      expect(await raw.next()).toBe(ACK[1]);
      raw.send(disconnectPacket);
      await raw.whenClosed();
    }
    expect(rig.intake.texts()).toEqual(['x', 'x']);
  });

  it('is a record when the id or the content is another one', async () => {
    rig = await openRig();
    const raw = await connected({ id: 'sensor' });
    for (const other of [{}, { id: 6, dup: true }, { payload: 'y', dup: true }, { topic: 'b', dup: true }]) {
      raw.send(publishPacket({ ...publish, qos: 1, ...other }));
      await raw.next();
    }
    expect(rig.intake.durable.map(({ topic, text }) => topic + text)).toEqual(['ax', 'ax', 'ay', 'bx']);
  });

  it('is a record again of a client that sends the same content under one id: nothing may be lost', async () => {
    rig = await openRig();
    const raw = await connected({ id: 'sensor' });
    for (const dup of [false, false, true]) {
      raw.send(publishPacket({ ...publish, qos: 1, dup }));
      expect(await raw.next()).toBe(ACK[1]);
    }
    expect(rig.intake.texts()).toEqual(['x', 'x', 'x']);
  });

  it('of QoS 2 is a new message once the id was released', async () => {
    rig = await openRig();
    const raw = await connected({ id: 'sensor' });
    raw.send(publishPacket({ ...publish, qos: 2 }));
    expect(await raw.next()).toBe(ACK[2]);
    raw.send(pubrel(5));
    expect(await raw.next()).toBe('70020005');
    raw.send(publishPacket({ ...publish, qos: 2, dup: true }));
    expect(await raw.next()).toBe(ACK[2]);
    expect(rig.intake.texts()).toEqual(['x', 'x']);
  });
});

describe('QoS 2', () => {
  const ROW = /^qos2\/[0-9a-f]{64}\/5$/;
  const publish = { topic: 'a', payload: 'x', qos: 2, id: 5 } as const;

  it('gets PUBREC after the commit, which holds its id too, and PUBCOMP after the id is deleted', async () => {
    rig = await openRig();
    rig.intake.hold();
    const raw = await connected({ id: 'keeper', clean: false });
    raw.send(publishPacket(publish));
    await rig.intake.whenCalled(1);
    expect(rig.intake.calls[0]?.side?.map(({ key }) => key)).toEqual([expect.stringMatching(ROW)]);
    expect(raw.waiting).toEqual([]);
    rig.intake.release();
    expect(await raw.next()).toBe('50020005');
    let letGo: () => void = () => undefined;
    rig.meta.held = new Promise((resolve) => {
      letGo = resolve;
    });
    raw.send(pubrel(5));
    const other = await connected({ id: 'other' });
    other.send(pingPacket);
    expect(await other.next()).toBe(PINGRESP);
    expect(raw.waiting).toEqual([]);
    expect(rig.meta.rows.size).toBe(1);
    letGo();
    expect(await raw.next()).toBe('70020005');
    expect(rig.meta.rows.size).toBe(0);
  });

  it('is one record though it is sent again, to this broker or the next one on the same store', async () => {
    rig = await openRig();
    const first = await connected({ id: 'keeper', clean: false });
    first.send(publishPacket(publish));
    expect(await first.next()).toBe('50020005');
    first.destroy();
    const second = await connected({ id: 'keeper', clean: false });
    second.send(publishPacket({ ...publish, dup: true }));
    expect(await second.next()).toBe('50020005');
    expect(rig.intake.texts()).toEqual(['x']);
    const { meta } = rig;
    await rig.close();
    rig = await openRig({}, meta);
    const third = await connected({ id: 'keeper', clean: false });
    third.send(publishPacket({ ...publish, dup: true }), pubrel(5));
    expect([await third.next(), await third.next()]).toEqual(['50020005', '70020005']);
    expect(rig.intake.calls).toEqual([]);
    expect(meta.rows.size).toBe(0);
  });

  it('is new without DUP, and new with DUP when topic or payload are others', async () => {
    rig = await openRig();
    const raw = await connected({ id: 'keeper', clean: false });
    const messages = [
      {},
      {},
      { payload: 'y' },
      { payload: 'z', dup: true },
      { topic: 'b', payload: 'z', dup: true },
      { topic: 'b', payload: 'z', dup: true },
    ];
    for (const message of messages) {
      raw.send(publishPacket({ ...publish, ...message }));
      expect(await raw.next()).toBe('50020005');
    }
    const records = rig.intake.durable.map(({ topic, text }) => topic + text);
    expect(records).toEqual(['ax', 'ax', 'ay', 'az', 'bz']);
    expect(rig.meta.rows.size).toBe(1);
  });

  it('is not taken for a repeat when the first attempt failed', async () => {
    rig = await openRig();
    rig.intake.failing = new TributaryError('STORAGE_FULL', 'full');
    const first = await connected({ id: 'keeper', clean: false });
    first.send(publishPacket(publish));
    expect(await first.next()).toBe('closed');
    rig.intake.failing = null;
    const second = await connected({ id: 'keeper', clean: false });
    second.send(publishPacket({ ...publish, dup: true }));
    expect(await second.next()).toBe('50020005');
    expect(rig.intake.texts()).toEqual(['x']);
  });

  it('waits with a repeat that comes over a new connection while the first is being committed', async () => {
    rig = await openRig();
    rig.intake.hold();
    const first = await connected({ id: 'keeper', clean: false });
    first.send(publishPacket(publish));
    await rig.intake.whenCalled(1);
    const second = await connected({ id: 'keeper', clean: false });
    second.send(publishPacket({ ...publish, dup: true }));
    const other = await connected({ id: 'other' });
    other.send(pingPacket);
    expect(await other.next()).toBe(PINGRESP);
    expect(second.waiting).toEqual([]);
    rig.intake.release();
    expect(await second.next()).toBe('50020005');
    expect(rig.intake.texts()).toEqual(['x']);
  });

  it('sends no PUBCOMP when the deletion fails', async () => {
    rig = await openRig();
    const raw = await connected({ id: 'keeper', clean: false });
    raw.send(publishPacket(publish));
    expect(await raw.next()).toBe('50020005');
    rig.meta.failing = new TributaryError('STORAGE_FULL', 'full');
    raw.send(pubrel(5));
    expect(await raw.next()).toBe('closed');
    rig.meta.failing = null;
    const again = await connected({ id: 'keeper', clean: false });
    again.send(pubrel(5));
    expect(await again.next()).toBe('70020005');
    expect(rig.meta.rows.size).toBe(0);
  });

  it('forgets the ids of a client that connects with clean session, before CONNACK', async () => {
    rig = await openRig();
    const first = await connected({ id: 'keeper', clean: false });
    first.send(publishPacket(publish));
    expect(await first.next()).toBe('50020005');
    const neighbour = await connected({ id: 'keeper2', clean: false });
    neighbour.send(publishPacket(publish));
    expect(await neighbour.next()).toBe('50020005');
    const clean = await connected({ id: 'keeper', clean: true });
    expect(rig.meta.rows.size).toBe(1);
    clean.send(publishPacket(publish));
    expect(await clean.next()).toBe('50020005');
    expect(rig.intake.texts()).toEqual(['x', 'x', 'x']);
    // Its own ids end with the connection and never reach the store.
    expect(rig.meta.rows.size).toBe(1);
  });

  it('refuses CONNECT with clean session while the ids cannot be deleted', async () => {
    rig = await openRig();
    const first = await connected({ id: 'keeper', clean: false });
    first.send(publishPacket(publish));
    expect(await first.next()).toBe('50020005');
    rig.meta.failing = new TributaryError('STORAGE_FULL', 'full');
    const clean = await rig.raw();
    clean.send(connectPacket({ id: 'keeper' }));
    expect(await clean.next()).toBe('closed');
    rig.meta.failing = null;
    await connected({ id: 'keeper' });
  });

  it('bounds the ids of one client and of all', async () => {
    const meta = new FakeMeta();
    rig = await openRig({ inboundInflightMax: 2, inboundStoredMax: 3 }, meta);
    const raw = await connected({ id: 'keeper', clean: false });
    const answers = async (client: RawClient, ids: number[]): Promise<string[]> => {
      const given: string[] = [];
      for (const id of ids) {
        client.send(publishPacket({ ...publish, id }));
        given.push(await client.next());
      }
      return given;
    };
    expect(await answers(raw, [1, 2, 3])).toEqual(['50020001', '50020002', 'closed']);
    const other = await connected({ id: 'other', clean: false });
    expect(await answers(other, [1, 2])).toEqual(['50020001', 'closed']);
    expect(rig.metric('mqtt_refused_total', '{reason="qos2_inflight"}')).toBe(1);
    expect(rig.metric('mqtt_refused_total', '{reason="qos2_stored"}')).toBe(1);
    const back = await connected({ id: 'keeper', clean: false });
    back.send(pubrel(1));
    expect(await back.next()).toBe('70020001');
    expect(await answers(back, [3])).toEqual(['50020003']);
    expect(rig.metric('mqtt_qos2_ids')).toBe(3);
  });

  it('survives a session that is present, in the same process', async () => {
    rig = await openRig();
    const first = await connected({ id: 'keeper', clean: false });
    first.send(subscribePacket('t', 2));
    expect(await first.next()).toBe('9003000102');
    first.send(disconnectPacket);
    await first.whenClosed();
    const second = await rig.raw();
    second.send(connectPacket({ id: 'keeper', clean: false }));
    expect(await second.next()).toBe(CONNACK_PRESENT);
    const clean = await rig.raw();
    clean.send(connectPacket({ id: 'keeper' }));
    expect(await clean.next()).toBe(CONNACK);
  });
});
