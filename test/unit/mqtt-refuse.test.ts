// Goal: bad packets, bad logins and bad addresses are refused precisely, and the broker goes on for everybody else.
// Method: raw sockets; after each refusal another client still gets its acknowledgement.
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hashPassword } from '../../gateway/mqtt/users.ts';
import {
  CONNACK,
  PINGRESP,
  connectPacket,
  openRig,
  pingPacket,
  puback,
  pubcomp,
  publishPacket,
  pubrec,
  pubrel,
  subscribePacket,
  text,
  until,
} from './mqtt-rig.ts';
import type { Rig } from './mqtt-rig.ts';

let rig: Rig;
afterEach(() => rig.close());

const BAD_UTF8 = Buffer.of(0x61, 0xff, 0xfe);

async function expectAlive(): Promise<void> {
  const raw = await rig.raw();
  raw.send(connectPacket({ id: 'alive' }), publishPacket({ topic: 'alive', qos: 1, id: 3 }));
  expect([await raw.next(), await raw.next()]).toEqual([CONNACK, '40020003']);
}

describe('a packet that is not MQTT 3.1.1 ends its connection and nothing else', () => {
  beforeEach(async () => {
    rig = await openRig({ packetBytesMax: 2_000 });
  });

  it.each([
    ['nothing but noise', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'malformed'],
    ['a publish before CONNECT', publishPacket({ topic: 'a' }), 'malformed'],
    ['a length of five bytes', Buffer.of(0x10, 0xff, 0xff, 0xff, 0xff, 0x7f), 'malformed'],
    [
      'CONNECT with its reserved flag',
      Buffer.of(0x10, 12, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 3, 0, 0, 0, 0),
      'malformed',
    ],
    [
      'CONNECT of 400 KiB',
      connectPacket({ id: 'x'.repeat(60_000), will: { topic: 't', payload: 'x'.repeat(60_000) } }),
      'packet_size',
    ],
  ])('%s', async (_name, bytes, reason) => {
    const raw = await rig.raw();
    raw.send(bytes);
    expect(await raw.next()).toBe('closed');
    await until(() => rig.metric('mqtt_refused_total', `{reason="${reason}"}`) === 1);
    await expectAlive();
  });

  it.each([
    ['QoS 3', Buffer.of(0x36, 5, 0, 1, 0x61, 0, 1), 'malformed'],
    ['packet id 0 of a publish', publishPacket({ topic: 'a', qos: 1, id: 0 }), 'packet_id'],
    ['packet id 0 of PUBREL', pubrel(0), 'packet_id'],
    ['packet id 0 of SUBSCRIBE', subscribePacket('a', 1, 0), 'packet_id'],
    ['SUBSCRIBE without filters', Buffer.of(0x82, 2, 0, 1), 'malformed'],
    ['SUBSCRIBE with wrong flags', Buffer.of(0x80, 6, 0, 1, 0, 1, 0x61, 0), 'malformed'],
    ['U+0000 in a topic', publishPacket({ topic: 'a\0b' }), 'topic'],
    ['bad UTF-8 in a topic', publishPacket({ topic: BAD_UTF8, qos: 1 }), 'topic'],
    ['an empty topic', publishPacket({ topic: '' }), 'topic'],
    ['a wildcard in a topic', publishPacket({ topic: 'a/#', qos: 1 }), 'topic'],
    ['a topic of the broker', publishPacket({ topic: '$SYS/x', qos: 1 }), 'topic'],
    ['a topic of 101 levels', publishPacket({ topic: '/'.repeat(100), qos: 1 }), 'topic'],
    ['U+0000 in a filter', subscribePacket('a\0b'), 'filter'],
    ['bad UTF-8 in a filter', subscribePacket(BAD_UTF8), 'filter'],
    ['a misplaced wildcard', subscribePacket('a/#/b'), 'filter'],
    ['a second CONNECT', connectPacket(), 'malformed'],
    [
      'a packet over the limit',
      publishPacket({ topic: 'a', qos: 1, payload: 'x'.repeat(2_000) }),
      'packet_size',
    ],
    ['the header of a packet far over the limit', Buffer.of(0x32, 0xff, 0xff, 0xff, 0x7f), 'packet_size'],
  ])('%s', async (_name, bytes, reason) => {
    const raw = await rig.raw();
    raw.send(connectPacket());
    expect(await raw.next()).toBe(CONNACK);
    raw.send(bytes);
    expect(await raw.next()).toBe('closed');
    await until(() => rig.metric('mqtt_refused_total', `{reason="${reason}"}`) === 1);
    expect(rig.intake.calls).toEqual([]);
    await expectAlive();
  });

  it('takes a packet of just the limit', async () => {
    const raw = await rig.raw();
    raw.send(connectPacket(), publishPacket({ topic: 'a', qos: 1, id: 1, payload: 'x'.repeat(2_000 - 5) }));
    expect([await raw.next(), await raw.next()]).toEqual([CONNACK, '40020001']);
  });

  it('survives random bytes behind CONNECT', async () => {
    let seed = 7;
    const random = (): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed;
    };
    for (let round = 0; round < 100; round += 1) {
      const raw = await rig.raw();
      const noise = Buffer.from(Array.from({ length: random() % 64 }, () => random() % 256));
      raw.send(connectPacket({ id: 'noise' }), noise);
      // Noise may be the beginning of a packet, which the broker waits for.
      raw.socket.end();
      await raw.whenClosed();
    }
    await expectAlive();
  });
});

describe('a CONNECT of another version is told so, and its connection ends', () => {
  const connect = (name: string, level: number, rest: number[]): Buffer => {
    const body = Buffer.concat([text(name), Buffer.of(level, 2, 0, 0, ...rest)]);
    return Buffer.concat([Buffer.of(0x10, body.length), body]);
  };

  it.each([
    ['MQTT 5', connect('MQTT', 5, [0, 0, 1, 0x61])],
    ['MQTT 5 with properties', connect('MQTT', 5, [5, 0x11, 0, 0, 0, 10, 0, 1, 0x61])],
    ['level 6', connect('MQTT', 6, [0, 1, 0x61])],
    ['level 0', connect('MQTT', 0, [0, 1, 0x61])],
    ['level 127', connect('MQTT', 127, [0, 1, 0x61])],
    ['level 3 under the name of 3.1.1', connect('MQTT', 3, [0, 1, 0x61])],
    ['level 4 under the name of 3.1', connect('MQIsdp', 4, [0, 1, 0x61])],
  ])('%s', async (_name, bytes) => {
    rig = await openRig();
    const raw = await rig.raw();
    raw.send(bytes);
    expect([await raw.next(), await raw.next()]).toEqual(['20020001', 'closed']);
    await until(() => rig.metric('mqtt_refused_total', '{reason="protocol_version"}') === 1);
    await expectAlive();
  });

  it('but 3.1 is taken', async () => {
    rig = await openRig();
    const raw = await rig.raw();
    raw.send(connect('MQIsdp', 3, [0, 1, 0x61]));
    expect(await raw.next()).toBe(CONNACK);
  });

  it('and the answer comes once, for the first packet only', async () => {
    rig = await openRig();
    const raw = await rig.raw();
    raw.send(connectPacket());
    expect(await raw.next()).toBe(CONNACK);
    raw.send(connect('MQTT', 6, [0, 1, 0x61]));
    expect(await raw.next()).toBe('closed');
  });
});

it('survives packets of every kind with some bytes changed', async () => {
  rig = await openRig();
  let seed = 11;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const kinds = [
    connectPacket({ will: { topic: 'w', payload: 'x', qos: 1 } }),
    publishPacket({ topic: 'a/b', payload: 'x', qos: 2, id: 3 }),
    publishPacket({ topic: 'a/b', payload: 'x', retain: true }),
    subscribePacket('a/#', 2),
    Buffer.of(0xa2, 5, 0, 1, 0, 1, 0x61),
    puback(1),
    pubrec(1),
    pubrel(3),
    pubcomp(1),
    pingPacket,
  ];
  for (let round = 0; round < 400; round += 1) {
    const packets = Array.from({ length: 4 }, () => {
      const bytes = Buffer.from(kinds[random(kinds.length)] ?? pingPacket);
      for (let change = random(3); change > 0; change -= 1) bytes[random(bytes.length)] = random(256);
      return bytes;
    });
    const raw = await rig.raw();
    // Of several sessions, kept and clean, so that state of earlier rounds is met again.
    raw.send(connectPacket({ id: `fuzz ${round % 7}`, clean: round % 3 === 0 }), ...packets);
    raw.socket.end();
    await raw.whenClosed();
  }
  await expectAlive();
  expect(rig.lines.filter(({ level }) => level === 'error')).toEqual([]);
});

describe('CONNECT', () => {
  it.each([
    ['an empty client id for a session to keep', connectPacket({ id: '', clean: false }), '20020002'],
    ['U+0000 in the client id', connectPacket({ id: 'a\0b' }), '20020002'],
    ['bad UTF-8 in the client id', connectPacket({ id: BAD_UTF8 }), '20020002'],
    [
      'a will to a topic of the broker',
      connectPacket({ will: { topic: '$SYS/x', payload: '' } }),
      '20020005',
    ],
    ['a will to a wildcard', connectPacket({ will: { topic: 'a/#', payload: '' } }), '20020005'],
    [
      'MQTT 5',
      Buffer.concat([Buffer.of(0x10, 14), text('MQTT'), Buffer.of(5, 2, 0, 0, 0), text('x')]),
      '20020001',
    ],
  ])('%s is refused with its code', async (_name, bytes, answer) => {
    rig = await openRig();
    const raw = await rig.raw();
    raw.send(bytes);
    expect([await raw.next(), await raw.next()]).toEqual([answer, 'closed']);
    await expectAlive();
  });

  it('gives an anonymous clean session an id', async () => {
    rig = await openRig();
    const raw = await rig.raw();
    raw.send(connectPacket({ id: '' }), pingPacket);
    expect([await raw.next(), await raw.next()]).toEqual([CONNACK, PINGRESP]);
  });

  it('takes clientsMax clients, and one of them again', async () => {
    rig = await openRig({ clientsMax: 2 });
    const [first, second, third, again] = await Promise.all([rig.raw(), rig.raw(), rig.raw(), rig.raw()]);
    first.send(connectPacket({ id: '1' }));
    second.send(connectPacket({ id: '2' }));
    expect([await first.next(), await second.next()]).toEqual([CONNACK, CONNACK]);
    third.send(connectPacket({ id: '3' }));
    expect([await third.next(), await third.next()]).toEqual(['20020003', 'closed']);
    again.send(connectPacket({ id: '2' }));
    expect(await again.next()).toBe(CONNACK);
    await second.whenClosed();
    expect(rig.metric('mqtt_clients')).toBe(2);
    expect(rig.metric('mqtt_refused_total', '{reason="clients_max"}')).toBe(1);
  });

  it('waits for it no longer than connectTimeoutMs', async () => {
    rig = await openRig({ connectTimeoutMs: 20 });
    const raw = await rig.raw();
    await raw.whenClosed();
    expect(rig.metric('mqtt_refused_total', '{reason="connect_timeout"}')).toBe(1);
  });

  it('is answered with code 3 when the store fails', async () => {
    rig = await openRig();
    rig.meta.list = () => {
      throw new Error('disk');
    };
    const raw = await rig.raw();
    raw.send(connectPacket({ id: 'keeper', clean: false }));
    expect([await raw.next(), await raw.next()]).toEqual(['20020003', 'closed']);
  });
});

describe('users', () => {
  it('lets in who knows the password, again and again, and nobody else', async () => {
    const passwordHash = await hashPassword('secret');
    expect(passwordHash).toMatch(/^scrypt\$16384\$8\$1\$[\w+/]+=*\$[\w+/]+=*$/);
    rig = await openRig({ users: [{ name: 'plant', passwordHash }] });
    for (let round = 0; round < 3; round += 1) {
      const client = await rig.client({ username: 'plant', password: 'secret' });
      await client.publishAsync('t', 'x', { qos: 1 });
    }
    const refusals = [
      { username: 'plant', password: 'wrong' },
      { username: 'nobody', password: 'secret' },
      { username: 'plant' },
      {},
    ].map((login) =>
      rig.client(login).then(
        () => 'in',
        (error: Error) => error.message,
      ),
    );
    expect(await Promise.all(refusals)).toEqual([
      'Connection refused: Bad username or password',
      'Connection refused: Bad username or password',
      'Connection refused: Bad username or password',
      'Connection refused: Not authorized',
    ]);
    expect(JSON.stringify(rig.lines)).not.toContain('secret');
  });

  it.each([
    'plain',
    'scrypt$3$8$1$AAAA$AAAA',
    'scrypt$16384$8$1$AAAA$',
    'scrypt$16777216$8$1$AAAA$AAAAAAAAAAAAAAAAAAAAAAAA',
  ])('refuses the hash %s at start', async (passwordHash) => {
    rig = await openRig();
    await expect(openRig({ users: [{ name: 'plant', passwordHash }] })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('plant'),
    });
  });
});

describe('the address', () => {
  it.each(['0.0.0.0', '::', '192.0.2.1'])('%s without users is refused, with what to do', async (host) => {
    rig = await openRig();
    await expect(openRig({ host })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/mqtt\.users.*127\.0\.0\.1.*mqtt\.allowAnonymous/),
    });
  });

  it('0.0.0.0 is fine with allowAnonymous or with users', async () => {
    rig = await openRig({ host: '0.0.0.0', allowAnonymous: true });
    await expectAlive();
    const other = await openRig({
      host: '0.0.0.0',
      users: [{ name: 'a', passwordHash: await hashPassword('b') }],
    });
    await expect(other.client()).rejects.toThrow('Not authorized');
    await other.close();
  });

  it('localhost is loopback', async () => {
    rig = await openRig({ host: 'localhost' });
    expect(rig.broker.port).toBeGreaterThan(0);
  });

  it('a port in use is named, with what to do', async () => {
    rig = await openRig();
    const taken = createServer();
    taken.listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    await expect(openRig({ port })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(new RegExp(`port ${port}: the port is in use; .*mqtt\\.port`)),
    });
    taken.close();
  });

  it('an address this machine does not have is named', async () => {
    rig = await openRig();
    await expect(openRig({ host: '192.0.2.1', allowAnonymous: true })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('mqtt.host'),
    });
  });
});
