// The filters one connection was granted, and the QoS at which a topic may go to it.
import type { Qos } from './aedes-inside.ts';
import { topicMatches } from './topic.ts';

/** Topics whose answer is remembered; a connection that sees more starts over. */
const ANSWERS_MAX = 1_000;

export class ClientFilters {
  readonly #filters = new Map<string, Qos>();
  readonly #answers = new Map<string, Qos | null>();

  get size(): number {
    return this.#filters.size;
  }

  has(filter: string): boolean {
    return this.#filters.has(filter);
  }

  grant(filter: string, qos: Qos): void {
    this.#filters.set(filter, qos);
    this.#answers.clear();
  }

  revoke(filter: string): void {
    this.#filters.delete(filter);
    this.#answers.clear();
  }

  /** Highest QoS of the filters that match, null when none does (MQTT-3.3.5-1). */
  qosFor(topic: string): Qos | null {
    const known = this.#answers.get(topic);
    if (known !== undefined) return known;
    const answer = this.#match(topic);
    if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear();
    this.#answers.set(topic, answer);
    return answer;
  }

  #match(topic: string): Qos | null {
    let best: Qos | null = null;
    for (const [filter, qos] of this.#filters) {
      if ((best === null || qos > best) && topicMatches(filter, topic)) best = qos;
    }
    return best;
  }
}
