// The last retained message of each topic, bounded in number and bytes. In memory.
import type { Qos } from './aedes-inside.ts';
import { topicMatches } from './topic.ts';

export interface Retained {
  readonly cmd: 'publish';
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: Qos;
}

export class RetainedMessages {
  readonly #messagesMax: number;
  readonly #bytesMax: number;
  readonly #messages = new Map<string, Retained>();
  #bytes = 0;

  constructor(messagesMax: number, bytesMax: number) {
    this.#messagesMax = messagesMax;
    this.#bytesMax = bytesMax;
  }

  get size(): number {
    return this.#messages.size;
  }

  /** An empty payload deletes. False when there is no room: the topic then has no retained message, never an old one. */
  store(message: Retained): boolean {
    const { topic, payload } = message;
    this.#delete(topic);
    if (payload.length === 0) return true;
    const bytes = bytesOf(message);
    if (this.#messages.size >= this.#messagesMax || this.#bytes + bytes > this.#bytesMax) return false;
    this.#messages.set(topic, message);
    this.#bytes += bytes;
    return true;
  }

  /** Each message once, however many of the filters match it. */
  *matching(filters: readonly string[]): Generator<Retained> {
    const exact = filters.every((filter) => !/[+#]/.test(filter));
    const candidates = exact ? new Set(filters) : [...this.#messages.keys()];
    for (const topic of candidates) {
      const message = this.#messages.get(topic);
      if (message === undefined) continue;
      if (exact || filters.some((filter) => topicMatches(filter, topic))) yield message;
    }
  }

  #delete(topic: string): void {
    const old = this.#messages.get(topic);
    if (old === undefined) return;
    this.#messages.delete(topic);
    this.#bytes -= bytesOf(old);
  }
}

function bytesOf({ topic, payload }: Retained): number {
  return topic.length + payload.length;
}
