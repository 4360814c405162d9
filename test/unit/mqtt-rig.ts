// A broker with a fake log below it, and clients that say exactly what a test wants: for the MQTT tests.
import { EventEmitter, once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { connectAsync } from 'mqtt';
import type { IClientOptions, MqttClient } from 'mqtt';
import type { IntakeItem } from '../../gateway/intake.ts';
import { MqttBroker } from '../../gateway/mqtt/broker.ts';
import type { MqttOptions } from '../../gateway/mqtt/options.ts';
import { systemClock } from '../../runtime/clock.ts';
import { openLog } from '../../runtime/log-writer.ts';
import { MetricsRegistry } from '../../runtime/metrics.ts';
import type { Meta, MetaChange, MetaEntry } from '../../stream/ports.ts';

/** The map of small state, in memory. `failing` makes changes fail, `held` makes them wait. */
export class FakeMeta implements Meta {
  readonly rows = new Map<string, Uint8Array>();
  failing: Error | null = null;
  held: Promise<void> | null = null;

  apply(changes: readonly MetaChange[]): void {
    for (const { key, value } of changes) {
      if (value === null) this.rows.delete(key);
      else this.rows.set(key, value);
    }
  }

  async get(key: string): Promise<MetaEntry | null> {
    const value = this.rows.get(key);
    return value === undefined ? null : { key, value, revision: 1n };
  }

  async put(key: string, value: Uint8Array): Promise<bigint> {
    this.rows.set(key, value);
    return 1n;
  }

  putLazy(key: string, value: Uint8Array | null): void {
    this.apply([{ key, value }]);
  }

  async del(key: string): Promise<void> {
    await this.held;
    if (this.failing !== null) throw this.failing;
    this.rows.delete(key);
  }

  async *list(prefix: string): AsyncGenerator<MetaEntry> {
    for (const [key, value] of this.rows) if (key.startsWith(prefix)) yield { key, value, revision: 1n };
  }

  // oxlint-disable-next-line require-yield
  async *watch(): AsyncGenerator<never> {
    throw new Error('not needed here');
  }
}

/** An intake whose commits a test holds, lets go and fails. */
export class FakeIntake extends EventEmitter {
  readonly meta: FakeMeta;
  /** Every call, in order. */
  readonly calls: IntakeItem[] = [];
  /** What became durable, in order. */
  readonly durable: { topic: string; text: string }[] = [];
  /** What was to be kept beside the durable ones. */
  readonly notes: Uint8Array[] = [];
  failing: Error | null = null;
  #held: (() => void)[] | null = null;

  constructor(meta: FakeMeta) {
    super();
    this.meta = meta;
  }

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const go of held) go();
  }

  async accept(item: IntakeItem): Promise<void> {
    this.calls.push(item);
    this.emit('call');
    const { failing } = this;
    if (this.#held !== null) await new Promise<void>((go) => this.#held?.push(go));
    // A commit takes a turn of the event loop at least.
    await new Promise(setImmediate);
    if (failing !== null) throw failing;
    this.meta.apply(item.side ?? []);
    if (item.note !== undefined) this.notes.push(item.note);
    this.durable.push({ topic: item.source.name, text: Buffer.from(item.payload).toString() });
    this.emit('durable');
  }

  texts(): string[] {
    return this.durable.map(({ text }) => text);
  }

  async whenCalled(count: number): Promise<void> {
    while (this.calls.length < count) await once(this, 'call');
  }

  async whenDurable(count: number): Promise<void> {
    while (this.durable.length < count) await once(this, 'durable');
  }
}

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly [field: string]: unknown;
}

export interface Rig {
  readonly broker: MqttBroker;
  readonly intake: FakeIntake;
  readonly meta: FakeMeta;
  readonly metrics: MetricsRegistry;
  readonly lines: LogLine[];
  /** A real client, closed with the rig. */
  client(options?: IClientOptions): Promise<MqttClient>;
  raw(): Promise<RawClient>;
  /** Value of one series; 0 when it was never counted. */
  metric(name: string, labels?: string): number;
  close(): Promise<void>;
}

export async function openRig(
  options: Partial<MqttOptions> = {},
  meta = new FakeMeta(),
  notes = new Uint8Array(),
): Promise<Rig> {
  const intake = new FakeIntake(meta);
  const metrics = new MetricsRegistry();
  const lines: LogLine[] = [];
  const write = (line: string): void => void lines.push(JSON.parse(line) as LogLine);
  const log = openLog('mqtt', { level: 'debug', write });
  const broker = await MqttBroker.open(
    { host: '127.0.0.1', port: 0, ...options },
    { intake, notes, meta, log, metrics, clock: systemClock },
  );
  const clients: MqttClient[] = [];
  const raws: RawClient[] = [];
  return {
    broker,
    intake,
    meta,
    metrics,
    lines,
    client: async (clientOptions = {}) => {
      const client = await connectAsync(`mqtt://127.0.0.1:${broker.port}`, {
        reconnectPeriod: 0,
        ...clientOptions,
      });
      client.on('error', () => undefined);
      clients.push(client);
      return client;
    },
    raw: async () => {
      const raw = await RawClient.open(broker.port);
      raws.push(raw);
      return raw;
    },
    metric: (name, labels = '') => metricOf(metrics, `${name}${labels}`),
    close: async () => {
      intake.release();
      await Promise.all(clients.map((client) => client.endAsync(true)));
      for (const raw of raws) raw.destroy();
      await broker.close();
    },
  };
}

export function metricOf(metrics: MetricsRegistry, series: string): number {
  const line = metrics
    .render()
    .split('\n')
    .find((candidate) => candidate.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1));
}

/** Resolves once it holds. The condition is looked at each turn: there is no event for it. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** A socket that speaks MQTT bytes. */
export class RawClient {
  readonly socket: Socket;
  readonly #packets: Buffer[] = [];
  readonly #arrivals = new EventEmitter();
  #rest: Buffer = Buffer.alloc(0);
  #isClosed = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('close', () => {
      this.#isClosed = true;
      this.#arrivals.emit('change');
    });
  }

  static async open(port: number): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whole packets that came and were not taken. */
  get waiting(): readonly Buffer[] {
    return this.#packets;
  }

  send(...packets: Buffer[]): void {
    this.socket.write(Buffer.concat(packets));
  }

  /** The next packet as hex; `closed` when the connection ends before. */
  async next(): Promise<string> {
    for (;;) {
      const packet = this.#packets.shift();
      if (packet !== undefined) return packet.toString('hex');
      if (this.#isClosed) return 'closed';
      await once(this.#arrivals, 'change');
    }
  }

  async whenClosed(): Promise<void> {
    while (!this.#isClosed) await once(this.#arrivals, 'change');
  }

  destroy(): void {
    this.socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (let size = packetSize(this.#rest); size !== null; size = packetSize(this.#rest)) {
      this.#packets.push(this.#rest.subarray(0, size));
      this.#rest = this.#rest.subarray(size);
    }
    this.#arrivals.emit('change');
  }
}

function packetSize(bytes: Buffer): number | null {
  let length = 0;
  for (let at = 1; at < bytes.length && at <= 4; at += 1) {
    const byte = bytes[at] ?? 0;
    length += (byte & 0x7f) * 128 ** (at - 1);
    if (byte < 0x80) return bytes.length >= at + 1 + length ? at + 1 + length : null;
  }
  return null;
}

function packet(first: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  let rest = body.length;
  do {
    length.push(rest > 127 ? (rest % 128) | 0x80 : rest);
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.concat([Buffer.of(first, ...length), body]);
}

export function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u16(bytes.length), bytes]);
}

export function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

export interface RawConnect {
  readonly id?: string | Buffer;
  readonly clean?: boolean;
  readonly will?: { topic: string; payload: string; qos?: number };
  readonly keepalive?: number;
}

export function connectPacket({ id = 'raw', clean = true, will, keepalive = 0 }: RawConnect = {}): Buffer {
  const willFlags = will === undefined ? 0 : 4 | ((will.qos ?? 0) << 3);
  const willBytes = will === undefined ? [] : [text(will.topic), text(will.payload)];
  const flags = Buffer.of(4, (clean ? 2 : 0) | willFlags);
  return packet(0x10, text('MQTT'), flags, u16(keepalive), text(id), ...willBytes);
}

export interface RawPublish {
  readonly topic: string | Buffer;
  readonly payload?: string | Buffer;
  readonly qos?: 0 | 1 | 2;
  readonly id?: number;
  readonly dup?: boolean;
  readonly retain?: boolean;
}

export function publishPacket(publish: RawPublish): Buffer {
  const { topic, payload = '', qos = 0, id = 1, dup = false, retain = false } = publish;
  const first = 0x30 | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0);
  return packet(first, text(topic), qos > 0 ? u16(id) : Buffer.alloc(0), Buffer.from(payload));
}

export function subscribePacket(filter: string | Buffer, qos = 1, id = 1): Buffer {
  return packet(0x82, u16(id), text(filter), Buffer.of(qos));
}

export const puback = (id: number): Buffer => packet(0x40, u16(id));
export const pubrec = (id: number): Buffer => packet(0x50, u16(id));
export const pubrel = (id: number): Buffer => packet(0x62, u16(id));
export const pubcomp = (id: number): Buffer => packet(0x70, u16(id));
export const disconnectPacket = Buffer.of(0xe0, 0);
export const pingPacket = Buffer.of(0xc0, 0);
/** Answers, as hex. */
export const CONNACK = '20020000';
export const CONNACK_PRESENT = '20020100';
export const PINGRESP = 'd000';
