// Persistent sessions by client id: their filters, and the queue of what waits for each. In memory for now: they end
// with the process; durable sessions are to come.
import type { AedesClient, Qos } from './aedes-inside.ts';
import { OutboundQueue } from './outbound-queue.ts';
import type { QueueLimits, QueueTotal } from './outbound-queue.ts';
import type { Refusals } from './refusals.ts';
import { SubscriptionTree } from './subscription-tree.ts';

export interface SessionLimits extends QueueLimits {
  readonly sessionsMax: number;
}

export interface FilterRow {
  readonly topic: string;
  readonly qos: Qos;
}

export interface SessionRow extends FilterRow {
  readonly clientId: string;
}

interface Session {
  readonly filters: Map<string, Qos>;
  readonly queue: OutboundQueue;
}

export class Sessions {
  readonly #limits: SessionLimits;
  readonly #dropped: Refusals;
  /** By client id, the one that has been used last at the end. */
  readonly #sessions = new Map<string, Session>();
  readonly #tree = new SubscriptionTree();
  readonly #total: QueueTotal = { bytes: 0 };

  constructor(limits: SessionLimits, dropped: Refusals) {
    this.#limits = limits;
    this.#dropped = dropped;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Bytes that wait for all subscribers, those of clean sessions too. */
  get queuedBytes(): number {
    return this.#total.bytes;
  }

  /** The queue of a connection: its session's, or one that ends with it. */
  queueOf(client: AedesClient): OutboundQueue {
    return client.clean ? new OutboundQueue(this.#limits, this.#total) : this.#sessionOf(client.id).queue;
  }

  subscribe(id: string, rows: readonly FilterRow[]): void {
    const { filters } = this.#sessionOf(id);
    for (const { topic, qos } of rows) {
      this.#tree.remove(topic, id);
      filters.set(topic, qos);
      if (qos > 0) this.#tree.add(topic, id, qos === 2 ? 2 : 1);
    }
  }

  unsubscribe(id: string, filters: readonly string[]): void {
    const session = this.#sessions.get(id);
    for (const filter of filters) {
      session?.filters.delete(filter);
      this.#tree.remove(filter, id);
    }
  }

  filtersOf(id: string): FilterRow[] {
    return Array.from(this.#sessions.get(id)?.filters ?? [], ([topic, qos]) => ({ topic, qos }));
  }

  /** One row per session that has a filter of QoS 1 or 2 for the topic, with the best of them. */
  matching(topic: string): SessionRow[] {
    return Array.from(this.#tree.match(topic), ([clientId, qos]) => ({ clientId, topic, qos }));
  }

  /** Sends at once to who is connected. False when the session's queue has no room. */
  enqueue(id: string, message: { topic: string; payload: Buffer; qos: 1 | 2 }): boolean {
    return this.#sessions.get(id)?.queue.enqueue({ ...message, retain: false }) ?? true;
  }

  /** The connection has ended: its session is the last to be evicted, or goes at once when it holds nothing. */
  rest(id: string): void {
    const session = this.#sessions.get(id);
    if (session === undefined || session.queue.isAttached) return;
    this.#sessions.delete(id);
    if (session.filters.size > 0 || session.queue.size > 0) this.#sessions.set(id, session);
  }

  end(id: string): void {
    const session = this.#sessions.get(id);
    if (session === undefined) return;
    for (const filter of session.filters.keys()) this.#tree.remove(filter, id);
    session.queue.clear();
    this.#sessions.delete(id);
  }

  #sessionOf(id: string): Session {
    const known = this.#sessions.get(id);
    if (known !== undefined) return known;
    if (this.#sessions.size >= this.#limits.sessionsMax) this.#evict();
    const session = { filters: new Map<string, Qos>(), queue: new OutboundQueue(this.#limits, this.#total) };
    this.#sessions.set(id, session);
    return session;
  }

  #evict(): void {
    for (const [id, { queue }] of this.#sessions) {
      if (queue.isAttached) continue;
      this.#dropped.add('session_evicted', { clientId: id, messages: queue.size });
      this.end(id);
      return;
    }
  }
}
