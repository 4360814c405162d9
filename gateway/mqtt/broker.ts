// The MQTT 3.1.1 broker of the gateway: aedes between our gate (records first, acknowledgements after) and our queues.
// An orderly close publishes no wills: the devices have not died, the gateway is stopping.
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import type { AedesOptions, Client } from 'aedes';
import type { Clock, Log, Meta } from '../../stream/ports.ts';
import type { MetricsRegistry } from '../../runtime/metrics.ts';
import { insideClient } from './aedes-inside.ts';
import type { AedesClient } from './aedes-inside.ts';
import { isAnonymousAllowed, listen } from './bind-address.ts';
import { Connection } from './connection.ts';
import { watchHub } from './hub-events.ts';
import { hubOptions } from './hub-options.ts';
import { Hub } from './hub.ts';
import { InboundIds } from './inbound-ids.ts';
import { DEFAULT_MQTT_LIMITS, HANDSHAKES_MAX } from './options.ts';
import type { MqttLimits, MqttOptions } from './options.ts';
import { guardParser } from './packet-check.ts';
import { Persistence } from './persistence.ts';
import { PublishGate } from './publish-gate.ts';
import type { RecordIntake } from './publish-gate.ts';
import { RecentPublishes } from './recent-publishes.ts';
import { Refusals } from './refusals.ts';
import { RetainedMessages } from './retained.ts';
import { Sessions } from './sessions.ts';
import { Users } from './users.ts';

export interface MqttParts {
  readonly intake: RecordIntake;
  /** What was noted beside the newest records, as the intake was given it. */
  readonly notes?: Uint8Array;
  readonly meta: Meta;
  readonly log: Log;
  readonly metrics: MetricsRegistry;
  readonly clock: Clock;
}

const TCP_KEEPALIVE_MS = 60_000;
const IDLE_POLL_MS = 5;

export class MqttBroker {
  readonly #limits: MqttLimits;
  readonly #parts: MqttParts;
  readonly #users: Users;
  readonly #inboundIds: InboundIds;
  readonly #refused: Refusals;
  readonly #dropped: Refusals;
  readonly #gate: PublishGate;
  readonly #sessions: Sessions;
  readonly #retained: RetainedMessages;
  readonly #persistence: Persistence;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #connections = new WeakMap<AedesClient, Connection>();
  #hub: Hub | null = null;
  #port = 0;
  #closing: Promise<void> | null = null;

  private constructor(limits: MqttLimits, users: Users, inboundIds: InboundIds, parts: MqttParts) {
    const { metrics, log, clock } = parts;
    this.#limits = limits;
    this.#parts = parts;
    this.#users = users;
    this.#inboundIds = inboundIds;
    const refused = metrics.counter('mqtt_refused_total', 'publishes and connections refused, by reason');
    const dropped = metrics.counter(
      'mqtt_dropped_total',
      'messages not recorded or not delivered, by reason',
    );
    this.#refused = new Refusals(log, clock, refused, 'refused');
    this.#dropped = new Refusals(log, clock, dropped, 'dropped');
    const recents = new RecentPublishes(() => clock.monotonicUs());
    recents.restore(parts.notes ?? new Uint8Array());
    this.#gate = new PublishGate({
      intake: parts.intake,
      inboundIds,
      recents,
      clientKeyOf: (client) => this.#connections.get(client)?.clientKey ?? '',
      publishes: metrics.counter('mqtt_publishes_total', 'publishes received, by QoS'),
      refused: this.#refused,
      dropped: this.#dropped,
      pendingQos0BytesMax: limits.pendingQos0BytesMax,
    });
    this.#sessions = new Sessions(limits, this.#dropped);
    this.#retained = new RetainedMessages(limits.retainedMax, limits.retainedBytesMax);
    this.#persistence = new Persistence({
      sessions: this.#sessions,
      retained: this.#retained,
      inboundIds,
      isRepeat: (packet) => this.#gate.isRepeat(packet),
      onReleased: (client, packetId) => this.#gate.released(client, packetId),
      connectionOf: (client) => this.#connections.get(client),
      dropped: this.#dropped,
    });
    this.#server = createServer(
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: TCP_KEEPALIVE_MS },
      (socket) => this.#connect(socket),
    );
  }

  /** Throws CONFIG_INVALID when it may not or cannot listen there. */
  static async open(options: MqttOptions, parts: MqttParts): Promise<MqttBroker> {
    const limits = { ...DEFAULT_MQTT_LIMITS, ...options };
    const users = new Users(options.users ?? [], await isAnonymousAllowed(options));
    const broker = new MqttBroker(limits, users, await InboundIds.open(parts.meta, limits), parts);
    try {
      await broker.#start(options);
    } catch (error) {
      await broker.close();
      throw error;
    }
    return broker;
  }

  /** The port that is bound. */
  get port(): number {
    return this.#port;
  }

  /** Clients past CONNACK. */
  get clients(): number {
    return this.#hub?.allClients().length ?? 0;
  }

  /** Takes nothing more, acknowledges what is durable by the deadline, lets go of every connection. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#stop();
    return this.#closing;
  }

  async #start(options: MqttOptions): Promise<void> {
    const hub = await Hub.open(this.#hubOptions());
    this.#hub = hub;
    const { log } = this.#parts;
    watchHub(hub, { refused: this.#refused, log, connectionOf: (client) => this.#connectionOf(client) });
    this.#observe();
    this.#port = await listen(this.#server, options);
    log.notice('listening', { host: options.host, port: this.#port });
  }

  #hubOptions(): AedesOptions {
    return hubOptions({
      limits: this.#limits,
      users: this.#users,
      inboundIds: this.#inboundIds,
      hasRoomFor: (clientId) => this.#hasRoomFor(clientId),
      persistence: this.#persistence,
      gate: this.#gate,
      connectionOf: (client) => this.#connectionOf(client),
      refused: this.#refused,
    });
  }

  #observe(): void {
    const { metrics } = this.#parts;
    metrics.observe('mqtt_clients', 'MQTT clients connected', () => this.clients);
    metrics.observe('mqtt_sessions', 'persistent MQTT sessions', () => this.#sessions.size);
    metrics.observe('mqtt_retained', 'retained messages', () => this.#retained.size);
    metrics.observe('mqtt_queued_bytes', 'bytes that wait for subscribers', () => this.#sessions.queuedBytes);
    metrics.observe(
      'mqtt_qos2_ids',
      'QoS 2 publishes between PUBLISH and PUBREL',
      () => this.#inboundIds.stored,
    );
  }

  #connectionOf(client: Client): Connection | undefined {
    return this.#connections.get(client as AedesClient);
  }

  #hasRoomFor(clientId: string): boolean {
    if (this.#closing !== null || this.#hub === null) return false;
    return this.#hub.connectedClients < this.#limits.clientsMax || this.#hub.clientOf(clientId) !== undefined;
  }

  #connect(socket: Socket): void {
    const hub = this.#hub;
    if (hub === null || this.#closing !== null) {
      socket.destroy();
      return;
    }
    if (this.#sockets.size >= this.#limits.clientsMax + HANDSHAKES_MAX) {
      this.#refused.add('connections_max', { address: socket.remoteAddress });
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    const known = socket.listeners('end');
    const client = insideClient(hub.handle(socket), socket);
    const aedesEnd = socket.listeners('end').find((listener) => !known.includes(listener));
    guardParser(client, this.#limits.packetBytesMax);
    const connection = new Connection(client, socket, {
      sessions: this.#sessions,
      limits: this.#limits,
      refused: this.#refused,
      dropped: this.#dropped,
      isHeld: (held) => this.#gate.isHeld(held),
    });
    this.#connections.set(client, connection);
    connection.wire(aedesEnd as (() => void) | undefined);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      if (client.id) this.#inboundIds.detach(client.id, client);
      this.#gate.ended(client, client._disconnected);
    });
  }

  async #stop(): Promise<void> {
    const hub = this.#hub;
    this.#server.close();
    this.#gate.stop();
    if (hub === null) return;
    const deadline = performance.now() + this.#limits.closeTimeoutMs;
    const isIdle = (): boolean =>
      this.#gate.inFlight === 0 && hub.unfinished === 0 && this.#inboundIds.isIdle;
    await until(isIdle, deadline);
    // The last acknowledgements are written in the turn after.
    await new Promise(setImmediate);
    for (const socket of this.#sockets) socket.end(() => socket.destroy());
    await until(() => this.#sockets.size === 0, deadline);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((done) => hub.close(done));
    this.#gate.close();
    this.#parts.log.notice('stopped');
  }
}

async function until(isTrue: () => boolean, deadlineMs: number): Promise<void> {
  while (!isTrue() && performance.now() < deadlineMs) await setTimeout(IDLE_POLL_MS);
}
