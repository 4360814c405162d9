// What aedes asks its persistence for, answered by sessions, retained messages, wills and QoS 2 ids. From memory, so
// that the path to subscribers never waits for a disk; only the ids of QoS 2 publishes are durable.
import { Readable } from 'node:stream';
import type { PublishPacket } from 'aedes';
import type { AedesClient } from './aedes-inside.ts';
import type { InboundIds } from './inbound-ids.ts';
import type { Refusals } from './refusals.ts';
import type { RetainedMessages } from './retained.ts';
import type { FilterRow, SessionRow, Sessions } from './sessions.ts';

export interface PersistenceParts {
  readonly sessions: Sessions;
  readonly retained: RetainedMessages;
  readonly inboundIds: InboundIds;
  readonly isRepeat: (packet: PublishPacket) => boolean;
  readonly onReleased: (client: AedesClient, packetId: number) => void;
  readonly connectionOf: (client: AedesClient) => SessionConnection | undefined;
  readonly dropped: Refusals;
}

/** What a session needs of the connection that is using it. */
export interface SessionConnection {
  readonly filters: { has(filter: string): boolean };
  received(messageId: number): void;
  acknowledged(messageId: number): void;
}

interface ClientId {
  readonly id: string;
}

interface StoredWill {
  readonly owner: AedesClient;
  readonly packet: PublishPacket;
}

export class Persistence {
  readonly #parts: PersistenceParts;
  readonly #wills = new Map<string, StoredWill>();

  constructor(parts: PersistenceParts) {
    this.#parts = parts;
  }

  // aedes looks at the constructor's name: this must stay an async function.
  async setup(): Promise<void> {
    await Promise.resolve();
  }

  async storeRetained({ topic, payload, qos }: PublishPacket): Promise<void> {
    // A copy: the payload is a view of a whole read from the socket.
    const stored = this.#parts.retained.store({ cmd: 'publish', topic, payload: Buffer.from(payload), qos });
    if (!stored) this.#parts.dropped.add('retained_full', { topic });
  }

  createRetainedStreamCombi(filters: readonly string[]): Readable {
    return Readable.from(this.#parts.retained.matching(filters));
  }

  /** aedes hands over every filter of the packet, refused ones too. */
  async addSubscriptions(client: AedesClient, rows: readonly FilterRow[]): Promise<void> {
    const { sessions, connectionOf } = this.#parts;
    const granted = connectionOf(client)?.filters;
    const isGranted = ({ topic }: FilterRow): boolean => granted?.has(topic) === true;
    sessions.subscribe(client.id, rows.filter(isGranted));
    const refused = rows.filter((row) => !isGranted(row));
    sessions.unsubscribe(
      client.id,
      refused.map(({ topic }) => topic),
    );
  }

  async removeSubscriptions({ id }: ClientId, filters: readonly string[]): Promise<void> {
    this.#parts.sessions.unsubscribe(id, filters);
  }

  /** CONNECT with clean session: the session is gone, what waited for it too. */
  async cleanSubscriptions({ id }: ClientId): Promise<void> {
    this.#parts.sessions.end(id);
  }

  async subscriptionsByClient({ id }: ClientId): Promise<FilterRow[]> {
    return this.#parts.sessions.filtersOf(id);
  }

  async subscriptionsByTopic(topic: string): Promise<SessionRow[]> {
    return this.#parts.sessions.matching(topic);
  }

  /** The queues send by themselves: a connection has nothing to deliver for a persistent session. */
  async outgoingEnqueueCombi(rows: readonly SessionRow[], packet: PublishPacket): Promise<void> {
    const { topic } = packet;
    const payload = Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload);
    for (const { clientId, qos } of rows) {
      const message = { topic, payload, qos: Math.min(qos, packet.qos) === 2 ? 2 : 1 } as const;
      if (!this.#parts.sessions.enqueue(clientId, message)) {
        this.#parts.dropped.add('queue_full', { topic, clientId });
      }
    }
  }

  /** aedes finds nothing left to send after CONNACK. */
  outgoingStream(): Readable {
    return Readable.from([]);
  }

  /** PUBREC of a persistent session. */
  async outgoingUpdate(client: AedesClient, { messageId }: PublishPacket): Promise<void> {
    if (messageId !== undefined) this.#parts.connectionOf(client)?.received(messageId);
  }

  /** PUBACK or PUBCOMP. */
  async outgoingClearMessageId(client: AedesClient, { messageId }: PublishPacket): Promise<void> {
    if (messageId !== undefined) this.#parts.connectionOf(client)?.acknowledged(messageId);
  }

  async incomingStorePacket(): Promise<void> {
    // The id has become durable with the record, before this is called.
  }

  async incomingGetPacket({ id }: ClientId, packet: PublishPacket): Promise<PublishPacket> {
    const { messageId } = packet;
    const isPublish = packet.cmd === 'publish';
    const isKnown = isPublish
      ? this.#parts.isRepeat(packet)
      : messageId !== undefined && this.#parts.inboundIds.has(id, messageId);
    if (isKnown) return packet;
    throw new Error('no such packet');
  }

  /** aedes sends PUBCOMP even when this fails, so the connection must be gone by then. */
  async incomingDelPacket(client: AedesClient, { messageId }: PublishPacket): Promise<void> {
    if (messageId === undefined) return;
    try {
      await this.#parts.inboundIds.release(client.id, messageId);
      this.#parts.onReleased(client, messageId);
    } catch (error) {
      client.emit('error', error);
      throw error;
    }
  }

  async cleanIncoming(client: AedesClient): Promise<void> {
    await this.#parts.inboundIds.discard(client.id, client);
  }

  async putWill(client: AedesClient, packet: PublishPacket): Promise<void> {
    this.#wills.set(client.id, { owner: client, packet });
  }

  async getWill({ id }: ClientId): Promise<PublishPacket | undefined> {
    return this.#wills.get(id)?.packet;
  }

  /** Called with the client at CONNECT, with its id alone when a connection ends: maybe one that was taken over. */
  async delWill(client: AedesClient | ClientId): Promise<void> {
    const will = this.#wills.get(client.id);
    if (will === undefined) return;
    if ('conn' in client || will.owner.closed) this.#wills.delete(client.id);
  }

  /** Wills of brokers that died: this one has no others, and its own end with it. */
  streamWill(): Readable {
    return Readable.from([]);
  }
}
