// QoS 1 ingest by raw sockets: a window of unacknowledged publishes for each publisher, no client library in between.
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Contender, Running } from './contender.ts';
import type { Workload } from './measure.ts';

const MAIN = join(import.meta.dirname, '../program/main.js');
const PUBLISHERS = 100;
const WINDOW = 10;
const PAYLOAD_BYTES = 200;

const tributary: Contender = {
  name: 'tributary gateway',
  durability: 'on the disk (fdatasync)',
  start: (folder, port) => ({
    command: process.execPath,
    args: [MAIN, 'gateway', '--data', folder, '--mqtt-port', String(port), '--status-port', '0'],
    env: { TRIBUTARY_GATEWAY_LOG_LEVEL: 'warn' },
  }),
};

const mosquitto: Contender = {
  name: 'mosquitto',
  durability: 'received, in memory',
  start: (folder, port) => {
    const file = join(folder, 'mosquitto.conf');
    writeFileSync(
      file,
      `listener ${port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 1000\nuser root\n`,
    );
    return { command: 'mosquitto', args: ['-c', file] };
  },
};

export const mqttWorkload: Workload = {
  title: `MQTT QoS 1 ingest, ${PUBLISHERS} publishers × window ${WINDOW}, ${PAYLOAD_BYTES} B, no subscriber`,
  unit: 'messages',
  contenders: [tributary, mosquitto],
  prepare: () => Promise.resolve(),
  run: async (running, durationMs) => {
    const publishers = await Promise.all(
      Array.from({ length: PUBLISHERS }, (_, index) => Publisher.open(running, index)),
    );
    for (const publisher of publishers) publisher.start();
    await new Promise((resolve) => setTimeout(resolve, durationMs));
    const counts = publishers.map((publisher) => publisher.close());
    return { units: counts.reduce((sum, count) => sum + count, 0), failed: 0 };
  },
};

class Publisher {
  readonly #socket: Socket;
  readonly #topic: Buffer;
  #acknowledged = 0;
  #nextId = 1;
  #failure: Error | null = null;

  private constructor(socket: Socket, index: number) {
    this.#socket = socket;
    this.#topic = Buffer.from(`bench/sensor-${index}`);
  }

  static open(running: Running, index: number): Promise<Publisher> {
    const socket = connect(running.port, '127.0.0.1');
    socket.setNoDelay(true);
    const id = Buffer.from(`bench-${process.pid}-${index}-${Math.trunc(performance.now())}`);
    const body = Buffer.concat([
      Buffer.from([0, 4]),
      Buffer.from('MQTT'),
      Buffer.from([4, 2, 0, 60, 0, id.length]),
      id,
    ]);
    socket.write(Buffer.concat([Buffer.from([0x10, body.length]), body]));
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.once('data', (connack: Buffer) => {
        if (connack[3] === 0) resolve(new Publisher(socket, index));
        else reject(new Error(`the broker refused: ${connack.toString('hex')}`));
      });
    });
  }

  start(): void {
    let rest = 0;
    this.#socket.removeAllListeners('error');
    this.#socket.on('error', (error) => {
      this.#failure = error;
    });
    this.#socket.on('data', (chunk: Buffer) => {
      // Nothing but PUBACKs of 4 bytes comes in.
      const bytes = rest + chunk.length;
      rest = bytes % 4;
      const count = (bytes - rest) / 4;
      this.#acknowledged += count;
      this.#send(count);
    });
    this.#send(WINDOW);
  }

  close(): number {
    this.#socket.removeAllListeners('data');
    if (this.#failure !== null || this.#socket.destroyed)
      throw this.#failure ?? new Error('the broker cut a publisher');
    this.#socket.destroy();
    return this.#acknowledged;
  }

  #send(count: number): void {
    const packets = Array.from({ length: count }, () => this.#packet());
    this.#socket.write(Buffer.concat(packets));
  }

  #packet(): Buffer {
    const remaining = 2 + this.#topic.length + 2 + PAYLOAD_BYTES;
    const head = Buffer.from([0x32, (remaining & 0x7f) | 0x80, remaining >> 7, 0, this.#topic.length]);
    const id = Buffer.from([this.#nextId >> 8, this.#nextId & 0xff]);
    this.#nextId = (this.#nextId % 65_535) + 1;
    return Buffer.concat([head, this.#topic, id, Buffer.alloc(PAYLOAD_BYTES, 0x61)]);
  }
}
