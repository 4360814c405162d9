// Goal: exactly once for QoS 2 and at least once for QoS 1 across kill -9 of the whole gateway. Method: the built
// program on a real store, a raw client that sends again as MQTT 3.1.1 says (4.4), and the log read with `log verify`.
import { afterEach, expect, it } from 'vitest';
import { runCli, startGateway, stopAll } from '../processes.ts';
import { RawClient, connectPacket, publishPacket, pubrel } from '../unit/mqtt-rig.ts';

const clients: RawClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await stopAll();
});

async function connect(port: number, clean = false): Promise<RawClient> {
  const raw = await RawClient.open(port);
  clients.push(raw);
  raw.send(connectPacket({ id: 'keeper', clean }));
  expect(await raw.next()).toMatch(/^2002..00$/);
  return raw;
}

async function recordsIn(data: string): Promise<number> {
  const { code, stdout, stderr } = await runCli(['log', 'verify', data, '--json']);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  const report = JSON.parse(stdout) as { ok: boolean; records: number };
  expect(report.ok).toBe(true);
  return report.records;
}

it('a QoS 2 publish whose PUBREC was lost with the gateway is one record', async () => {
  const first = await startGateway();
  const before = await connect(first.mqttPort);
  for (let id = 1; id <= 20; id += 1)
    before.send(publishPacket({ topic: 'a', payload: String(id), qos: 2, id }));
  // Some have been answered, of the others nobody knows: the client has to send all again.
  for (let id = 1; id <= 10; id += 1) expect(await before.next()).toBe(`5002${hex(id)}`);
  await first.kill('SIGKILL');
  const second = await first.restart();
  const after = await connect(second.mqttPort);
  for (let id = 1; id <= 20; id += 1) {
    after.send(publishPacket({ topic: 'a', payload: String(id), qos: 2, id, dup: true }));
    expect(await after.next()).toBe(`5002${hex(id)}`);
  }
  for (let id = 1; id <= 20; id += 1) {
    after.send(pubrel(id));
    expect(await after.next()).toBe(`7002${hex(id)}`);
  }
  // The ids are free again, and stay so through another kill.
  await second.kill('SIGKILL');
  const third = await second.restart();
  const again = await connect(third.mqttPort);
  again.send(publishPacket({ topic: 'a', payload: '1', qos: 2, id: 1, dup: true }));
  expect(await again.next()).toBe('50020001');
  await third.kill('SIGKILL');
  expect(await recordsIn(third.data)).toBe(21);
});

it('a clean session forgets the ids for good', async () => {
  const first = await startGateway();
  const before = await connect(first.mqttPort);
  before.send(publishPacket({ topic: 'a', qos: 2, id: 1 }));
  expect(await before.next()).toBe('50020001');
  await connect(first.mqttPort, true);
  await first.kill('SIGKILL');
  const second = await first.restart();
  const after = await connect(second.mqttPort);
  after.send(publishPacket({ topic: 'a', qos: 2, id: 1, dup: true }));
  expect(await after.next()).toBe('50020001');
  await second.kill('SIGKILL');
  expect(await recordsIn(second.data)).toBe(2);
});

it('every QoS 1 publish that was acknowledged before kill -9 is in the log', async () => {
  const gateway = await startGateway();
  const raw = await connect(gateway.mqttPort);
  const killed = gateway.ended;
  let acknowledged = 0;
  for (let id = 1; id <= 2_000; id += 1)
    raw.send(publishPacket({ topic: 'a', payload: String(id), qos: 1, id }));
  for (let answer = await raw.next(); answer !== 'closed'; answer = await raw.next()) {
    acknowledged += 1;
    if (acknowledged === 500) gateway.signal('SIGKILL');
    if (acknowledged === 2_000) break;
  }
  await killed;
  expect(acknowledged).toBeGreaterThanOrEqual(500);
  expect(await recordsIn(gateway.data)).toBeGreaterThanOrEqual(acknowledged);
});

it('SIGTERM with publishes in flight acknowledges or keeps silent, and exits 0', async () => {
  const gateway = await startGateway();
  const raw = await connect(gateway.mqttPort);
  for (let id = 1; id <= 500; id += 1)
    raw.send(publishPacket({ topic: 'a', payload: String(id), qos: 1, id }));
  expect(await raw.next()).toBe('40020001');
  const ended = gateway.kill('SIGTERM');
  let acknowledged = 1;
  while ((await raw.next()) !== 'closed') acknowledged += 1;
  expect(await ended).toEqual({ code: 0, signal: null });
  expect(await recordsIn(gateway.data)).toBeGreaterThanOrEqual(acknowledged);
});

function hex(id: number): string {
  return id.toString(16).padStart(4, '0');
}
