// What waits for one subscriber at QoS 1 and 2: in order, a bounded window in flight, bounded in messages and bytes.
// Outlives the connection when the session does; a new connection gets what was in flight once more.
import type { Outlet } from './outlet.ts';
import { pubrelBytes } from './publish-bytes.ts';

export interface Outbound {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 1 | 2;
  readonly retain: boolean;
}

export interface QueueLimits {
  readonly queueMessagesMax: number;
  readonly queueBytesMax: number;
  readonly queuesBytesMax: number;
  readonly outboundInflightMax: number;
}

/** Bytes of all queues of a broker. */
export interface QueueTotal {
  bytes: number;
}

interface InFlight extends Outbound {
  /** PUBREC has come: from now on only PUBREL is sent. */
  isReceived: boolean;
}

const MESSAGE_ID_MAX = 65_535;
/** What a queued message costs beside its topic and payload. */
const OVERHEAD_BYTES = 200;

export class OutboundQueue {
  readonly #limits: QueueLimits;
  readonly #total: QueueTotal;
  #waiting: Outbound[] = [];
  /** Index of the first message that waits; what is before it has been sent. */
  #head = 0;
  /** By message id, oldest first. */
  readonly #inFlight = new Map<number, InFlight>();
  #lastId = 0;
  #bytes = 0;
  #outlet: Outlet | null = null;

  constructor(limits: QueueLimits, total: QueueTotal) {
    this.#limits = limits;
    this.#total = total;
  }

  /** Messages that are not acknowledged, sent or not. */
  get size(): number {
    return this.#waiting.length - this.#head + this.#inFlight.size;
  }

  /** False when there is no room: the message is not taken. */
  enqueue(message: Outbound): boolean {
    const bytes = bytesOf(message);
    if (this.size >= this.#limits.queueMessagesMax) return false;
    if (this.#bytes + bytes > this.#limits.queueBytesMax) return false;
    if (this.#total.bytes + bytes > this.#limits.queuesBytesMax) return false;
    this.#count(bytes);
    this.#waiting.push({ ...message, payload: compact(message.payload) });
    this.pump();
    return true;
  }

  /** From CONNACK on: what was in flight is sent again, then what waits. */
  attach(outlet: Outlet): void {
    this.#outlet = outlet;
    for (const [messageId, message] of this.#inFlight) {
      if (message.isReceived) outlet.write(pubrelBytes(messageId));
      else outlet.publish({ ...message, messageId, isRepeat: true });
    }
    this.pump();
  }

  /** No effect when another connection has taken over. */
  detach(outlet: Outlet): void {
    if (this.#outlet === outlet) this.#outlet = null;
  }

  get isAttached(): boolean {
    return this.#outlet !== null;
  }

  /** Sends while the window and the connection have room. */
  pump(): void {
    const outlet = this.#outlet;
    while (outlet?.isOpen === true && !outlet.isCongested) {
      if (this.#inFlight.size >= this.#limits.outboundInflightMax) return;
      const message = this.#next();
      if (message === undefined) return;
      const messageId = this.#freeId();
      this.#inFlight.set(messageId, { ...message, isReceived: false });
      outlet.publish({ ...message, messageId, isRepeat: false });
    }
  }

  /** PUBREC. An unknown id is nothing to remember: PUBREL goes out in any case. */
  received(messageId: number): void {
    const message = this.#inFlight.get(messageId);
    if (message !== undefined) message.isReceived = true;
  }

  /** PUBACK or PUBCOMP. */
  acknowledged(messageId: number): void {
    const message = this.#inFlight.get(messageId);
    if (message === undefined) return;
    this.#inFlight.delete(messageId);
    this.#count(-bytesOf(message));
    this.pump();
  }

  /** The session ends: everything is forgotten. */
  clear(): void {
    this.#waiting = [];
    this.#head = 0;
    this.#inFlight.clear();
    this.#count(-this.#bytes);
  }

  #next(): Outbound | undefined {
    const message = this.#waiting[this.#head];
    if (message === undefined) return undefined;
    this.#head += 1;
    if (this.#head === this.#waiting.length || this.#head >= 1_024) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    return message;
  }

  /** The window is far smaller than the range, so one is always free. */
  #freeId(): number {
    do this.#lastId = (this.#lastId % MESSAGE_ID_MAX) + 1;
    while (this.#inFlight.has(this.#lastId));
    return this.#lastId;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    this.#total.bytes += bytes;
  }
}

function bytesOf({ topic, payload }: Outbound): number {
  return OVERHEAD_BYTES + topic.length + payload.length;
}

/** A payload is a view of a whole read from the socket: a small one that waits must not keep that alive. */
function compact(payload: Buffer): Buffer {
  return payload.buffer.byteLength > 2 * payload.length + Buffer.poolSize ? Buffer.from(payload) : payload;
}
