// One connection around its aedes client: what it was granted, and how messages leave to it.
// Replaces aedes' own delivery, which lets one slow subscriber stop every publisher and lowers QoS by exact topic only.
import type { Socket } from 'node:net';
import type { AedesClient, RoutedPacket } from './aedes-inside.ts';
import { ClientFilters } from './client-filters.ts';
import type { MqttLimits } from './options.ts';
import type { OutboundQueue } from './outbound-queue.ts';
import { Outlet } from './outlet.ts';
import type { Refusals } from './refusals.ts';
import { clientKeyOf } from './recent-publishes.ts';
import type { Sessions } from './sessions.ts';

export interface ConnectionParts {
  readonly sessions: Sessions;
  readonly limits: MqttLimits;
  readonly refused: Refusals;
  readonly dropped: Refusals;
  /** Whether this connection has so much on its way to the disk that it must wait. */
  readonly isHeld: (client: AedesClient) => boolean;
}

export class Connection {
  readonly filters = new ClientFilters();
  readonly #client: AedesClient;
  readonly #socket: Socket;
  readonly #parts: ConnectionParts;
  readonly #outlet: Outlet;
  #queue: OutboundQueue | null = null;
  /** Counter of the packet that was delivered last: it comes once for each filter that matches. */
  #lastCounter = -1;

  #clientKey = '';

  constructor(client: AedesClient, socket: Socket, parts: ConnectionParts) {
    this.#client = client;
    this.#socket = socket;
    this.#parts = parts;
    this.#outlet = new Outlet(socket, parts.limits.drainTimeoutMs, () => this.#stalled());
  }

  /** What tells the client apart over its connections; known from CONNECT on. */
  get clientKey(): string {
    return this.#clientKey;
  }

  /** The id of the CONNECT, empty when the client has none. */
  identify(clientId: string): void {
    this.#clientKey = clientKeyOf(clientId, this.#socket.remoteAddress ?? '');
  }

  /** Takes over delivery and the end of the connection. */
  wire(aedesEnd: (() => void) | undefined): void {
    this.#client.deliver0 = (packet, done) => this.#deliver(packet, done);
    this.#client.deliverQoS = this.#client.deliver0;
    if (aedesEnd !== undefined) this.#socket.off('end', aedesEnd);
    this.#readWithinBounds();
    this.#socket.on('end', () => this.#peerEnded());
    this.#socket.on('drain', () => {
      this.#outlet.drained();
      this.#queue?.pump();
    });
    this.#socket.once('close', () => this.#closed());
  }

  /** CONNACK is written: what waits for the session may follow. */
  ready(): void {
    if (this.#client.closed) return;
    this.#queue = this.#parts.sessions.queueOf(this.#client);
    this.#queue.attach(this.#outlet);
  }

  /** PUBREC from the subscriber. */
  received(messageId: number): void {
    this.#queue?.received(messageId);
  }

  /** PUBACK or PUBCOMP from the subscriber. */
  acknowledged(messageId: number): void {
    this.#queue?.acknowledged(messageId);
  }

  /**
   * aedes would read on with every chunk that arrives, however much is unacknowledged. Now a held connection is read
   * again when all of it is done, by aedes itself.
   */
  #readWithinBounds(): void {
    const client = this.#client;
    this.#socket.off('readable', client._nextBatch);
    client._parsingBatch = 0;
    this.#socket.on('readable', () => {
      if (client.closed || client._paused === true || this.#parts.isHeld(client)) return;
      const bytes = this.#socket.read() as Buffer | null;
      if (bytes !== null) client._parser.parse(bytes);
    });
  }

  /** `done` comes at once for what is live, so that publishers never wait for subscribers. */
  #deliver(packet: RoutedPacket, done: () => void): void {
    const isReplay = packet.retain;
    if (!this.#client.closed && this.#queue !== null && !this.#isCopy(packet)) this.#send(packet, isReplay);
    if (isReplay) this.#outlet.whenFree(done);
    else done();
  }

  #isCopy({ brokerId, brokerCounter }: RoutedPacket): boolean {
    if (brokerId === null) return false;
    if (brokerCounter === this.#lastCounter) return true;
    this.#lastCounter = brokerCounter;
    return false;
  }

  #send(packet: RoutedPacket, isReplay: boolean): void {
    const { topic, retain } = packet;
    const granted = this.filters.qosFor(topic);
    if (granted === null) return;
    const payload = Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload);
    const qos = Math.min(granted, packet.qos);
    if (qos === 0) {
      if (!isReplay && this.#isFull()) this.#drop('subscriber_slow', topic);
      else this.#outlet.publish({ topic, payload, qos: 0, retain, isRepeat: false, messageId: 0 });
      return;
    }
    // A persistent session's queue has it already, from before it was routed.
    if (!this.#client.clean && !isReplay) return;
    const isTaken = this.#queue?.enqueue({ topic, payload, qos: qos === 2 ? 2 : 1, retain });
    if (isTaken === false) this.#drop('queue_full', topic);
  }

  #isFull(): boolean {
    return this.#outlet.unsentBytes > this.#parts.limits.unsentBytesMax;
  }

  #drop(reason: string, topic: string): void {
    this.#parts.dropped.add(reason, { topic, clientId: this.#client.id });
  }

  #stalled(): void {
    this.#parts.refused.add('drain_timeout', { clientId: this.#client.id });
    this.#socket.destroy();
  }

  /** A client may send CONNECT, PUBLISH and DISCONNECT in one go: what it sent before it left still counts. */
  #peerEnded(): void {
    if (this.#client.connecting) this.#client.once('connected', () => this.#client.close());
    else this.#client.close();
  }

  #closed(): void {
    this.#outlet.close();
    this.#queue?.detach(this.#outlet);
    if (this.#client.clean) this.#queue?.clear();
    else if (this.#client.id) this.#parts.sessions.rest(this.#client.id);
  }
}
