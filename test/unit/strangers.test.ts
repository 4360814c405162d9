// Goal: whoever has not said who it is costs the server next to nothing and cannot lock the gateways out. Method: the
// sync endpoint on a real HTTP server, sessions that a test greets when it likes, a clock by hand.
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { openSyncEndpoint } from '../../server/sync-endpoint.ts';
import type { SyncEndpoint } from '../../server/sync-endpoint.ts';
import type { Log } from '../../stream/ports.ts';

const LIMITS = {
  socketsMax: 2,
  shareBytes: 1_000,
  bytesMax: 300_000,
  totalBytesMax: 400_000,
  graceMs: 100,
};

const nothing = (): void => undefined;
const log: Log = {
  debug: nothing,
  info: nothing,
  notice: nothing,
  warn: nothing,
  error: nothing,
  child: () => log,
};

let nowMs = 0;
let greetings: (() => void)[] = [];
let received = 0;
let server: Server;
let endpoint: SyncEndpoint;

beforeEach(async () => {
  nowMs = 0;
  greetings = [];
  received = 0;
  endpoint = openSyncEndpoint(
    async (socket, greeted) => {
      greetings.push(greeted);
      socket.on('message', (data: Buffer) => {
        received += data.length;
      });
      await once(socket, 'close');
    },
    { log, now: () => nowMs, limits: LIMITS },
  );
  server = createServer();
  server.on('upgrade', (request, socket, head) => endpoint.upgrade(request, socket, head));
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterEach(async () => {
  await endpoint.close();
  server.close();
});

/** Resolves with `open`, or with why it was refused. */
async function connect(): Promise<{ socket: WebSocket; outcome: string; closed: Promise<unknown> }> {
  const { port } = server.address() as AddressInfo;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/sync/v1`);
  const closed = once(socket, 'close').catch(nothing);
  const outcome = await new Promise<string>((resolve) => {
    socket.once('open', () => resolve('open'));
    socket.on('error', (error) => resolve(error.message));
  });
  return { socket, outcome, closed };
}

it('there are few at a time; who is known makes room, and so does who leaves', async () => {
  const first = await connect();
  expect([first.outcome, (await connect()).outcome]).toEqual(['open', 'open']);
  expect((await connect()).outcome).toContain('503');
  greetings[0]?.();
  expect((await connect()).outcome).toBe('open');
  expect((await connect()).outcome).toContain('503');
  expect(first.socket.readyState).toBe(WebSocket.OPEN);
});

it('who holds a place for longer than a hello takes loses it to the next', async () => {
  const first = await connect();
  await connect();
  nowMs += 100;
  expect((await connect()).outcome).toBe('open');
  await first.closed;
  nowMs += 50;
  expect((await connect()).outcome).toBe('open');
  expect((await connect()).outcome).toContain('503');
});

it('one that sends more than a hello is cut off before its frame is there; a known gateway is not', async () => {
  const stranger = await connect();
  stranger.socket.send(Buffer.alloc(900_000));
  await stranger.closed;
  expect(received).toBe(0);
  const gateway = await connect();
  gateway.socket.send('hello');
  while (received < 5) await new Promise(setImmediate);
  greetings[1]?.();
  gateway.socket.send(Buffer.alloc(900_000));
  while (received < 900_005) await new Promise(setImmediate);
  expect(gateway.socket.readyState).toBe(WebSocket.OPEN);
});

it('all of them together may send so much, but each its share', async () => {
  const [first, second] = [await connect(), await connect()];
  first.socket.send(Buffer.alloc(250_000));
  while (received < 250_000) await new Promise(setImmediate);
  second.socket.send(Buffer.alloc(250_000));
  await second.closed;
  expect(first.socket.readyState).toBe(WebSocket.OPEN);
  // What it sent is not held against those who come.
  const third = await connect();
  third.socket.send(Buffer.alloc(100_000));
  while (received < 350_000) await new Promise(setImmediate);
  expect(third.socket.readyState).toBe(WebSocket.OPEN);
});
