// The registered consumers of all streams: their rows in Meta, an index by ARN, and the word to whoever serves one that
// it is being removed (Kinesis API, RegisterStreamConsumer).
import type { Clock, Meta } from '../../stream/ports.ts';
import { Turns } from '../fleet/turns.ts';
import type { AccountSettings } from './account-settings.ts';
import { consumerArn, streamArn } from './arn.ts';
import type { Account } from './account.ts';
import { decodeConsumerRow, encodeConsumerRow } from './consumer-row.ts';
import type { ConsumerRow } from './consumer-row.ts';
import { kinesisError } from './errors.ts';
import type { StateDelay } from './state-delay.ts';
import { consumerNotActive } from './stream-errors.ts';
import type { StreamCatalog } from './stream-catalog.ts';
import type { StreamRow } from './stream-row.ts';

const PREFIX = 'consumer/';
/** Kinesis API, RegisterStreamConsumer: consumers of one stream. */
export const CONSUMERS_MAX = 20;
/** The same of a stream on demand of an account with a commitment. */
const CONSUMERS_COMMITTED_MAX = 50;
/** Kinesis API, RegisterStreamConsumer: consumers of the account that are CREATING together. */
export const CONSUMERS_CREATING_MAX = 5;

/** A consumer as it is now; later states are other objects. */
export interface Consumer extends ConsumerRow {
  readonly arn: string;
  readonly streamName: string;
  readonly streamArn: string;
  /** Aborted when it leaves ACTIVE for good: nobody reads through it any more. */
  readonly removed: AbortSignal;
}

export interface ConsumerParts {
  readonly meta: Meta;
  readonly catalog: StreamCatalog;
  readonly clock: Clock;
  readonly account: Account;
  readonly delay: StateDelay;
  readonly settings: AccountSettings;
}

interface Held {
  readonly consumer: Consumer;
  readonly revision: bigint;
  readonly removal: AbortController;
}

export class Consumers {
  readonly #parts: ConsumerParts;
  readonly #byArn = new Map<string, Held>();
  /** By id of the stream, then by name. */
  readonly #byStream = new Map<string, Map<string, Consumer>>();
  /** One write after the other, so that limits are counted exactly. */
  readonly #turns = new Turns();
  /** Second of the newest removed one: its ARN is not given again. */
  #removedAtSeconds = 0;

  private constructor(parts: ConsumerParts) {
    this.#parts = parts;
  }

  /** Reads every row and finishes what a crash interrupted, the removal with a deleted stream included. */
  static async open(parts: ConsumerParts): Promise<Consumers> {
    const consumers = new Consumers(parts);
    const found: { row: ConsumerRow; revision: bigint }[] = [];
    for await (const { value, revision } of parts.meta.list(PREFIX))
      found.push({ row: decodeConsumerRow(value), revision });
    for (const { row, revision } of found) await consumers.#recover(row, revision);
    parts.catalog.beforeGone((stream) => consumers.#removeOf(stream));
    return consumers;
  }

  byArn(arn: string): Consumer | undefined {
    return this.#byArn.get(arn)?.consumer;
  }

  find(streamId: string, name: string): Consumer | undefined {
    return this.#byStream.get(streamId)?.get(name);
  }

  /** Sorted by name. */
  listOf(streamId: string): Consumer[] {
    const consumers = [...(this.#byStream.get(streamId)?.values() ?? [])];
    return consumers.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Throws ResourceNotFoundException, ResourceInUseException or LimitExceededException. */
  register(streamName: string, name: string, tags: ConsumerRow['tags']): Promise<Consumer> {
    const { catalog, delay } = this.#parts;
    return catalog.whileActive(streamName, (stream) =>
      this.#turns.run(async () => {
        this.#checkRoom(stream, name);
        const status = delay.isHeld ? 'CREATING' : 'ACTIVE';
        const row: ConsumerRow = { streamId: stream.id, name, status, createdAtMs: this.#nowMs(), tags };
        const { consumer } = await this.#put(row, 'absent', new AbortController());
        if (status === 'CREATING') delay.after(() => this.#activate(consumer.arn));
        return consumer;
      }),
    );
  }

  /** Stores the row that `change` makes of it; throws ResourceInUseException unless it is ACTIVE. */
  update({ arn, ...known }: Consumer, change: (row: ConsumerRow) => ConsumerRow): Promise<void> {
    return this.#turns.run(async () => {
      const held = this.#byArn.get(arn);
      if (held?.consumer.status !== 'ACTIVE')
        throw consumerNotActive(this.#parts.account, held?.consumer ?? known);
      await this.#put(change(rowOf(held.consumer)), held.revision, held.removal);
    });
  }

  /** A second call while it is DELETING changes nothing. */
  deregister({ arn }: Consumer): Promise<void> {
    return this.#turns.run(async () => {
      const held = this.#byArn.get(arn);
      if (held === undefined || held.consumer.status === 'DELETING') return;
      if (!this.#parts.delay.isHeld) return this.#remove(held);
      await this.#put({ ...rowOf(held.consumer), status: 'DELETING' }, held.revision, held.removal);
      held.removal.abort();
      this.#parts.delay.after(() => this.#turns.run(() => this.#removeArn(arn)));
    });
  }

  async #recover(row: ConsumerRow, revision: bigint): Promise<void> {
    const { meta, catalog } = this.#parts;
    if (row.status === 'DELETING' || catalog.byId(row.streamId) === undefined)
      return meta.del(keyOf(row), revision);
    if (row.status === 'ACTIVE') this.#hold(row, revision, new AbortController());
    else await this.#put({ ...row, status: 'ACTIVE' }, revision, new AbortController());
  }

  #activate(arn: string): Promise<void> {
    return this.#turns.run(async () => {
      const held = this.#byArn.get(arn);
      if (held?.consumer.status !== 'CREATING') return;
      await this.#put({ ...rowOf(held.consumer), status: 'ACTIVE' }, held.revision, held.removal);
    });
  }

  #removeOf(stream: StreamRow): Promise<void> {
    return this.#turns.run(async () => {
      for (const { arn } of this.listOf(stream.id)) await this.#removeArn(arn);
    });
  }

  async #removeArn(arn: string): Promise<void> {
    const held = this.#byArn.get(arn);
    if (held !== undefined) await this.#remove(held);
  }

  async #remove({ consumer, revision, removal }: Held): Promise<void> {
    await this.#parts.meta.del(keyOf(consumer), revision);
    this.#byArn.delete(consumer.arn);
    const others = this.#byStream.get(consumer.streamId);
    others?.delete(consumer.name);
    if (others?.size === 0) this.#byStream.delete(consumer.streamId);
    this.#removedAtSeconds = Math.max(this.#removedAtSeconds, secondsOf(consumer.createdAtMs));
    removal.abort();
  }

  async #put(row: ConsumerRow, expected: bigint | 'absent', removal: AbortController): Promise<Held> {
    const revision = await this.#parts.meta.put(keyOf(row), encodeConsumerRow(row), expected);
    return this.#hold(row, revision, removal);
  }

  #hold(row: ConsumerRow, revision: bigint, removal: AbortController): Held {
    const streamName = this.#parts.catalog.byId(row.streamId)?.name ?? '';
    const ofStream = streamArn(this.#parts.account, streamName);
    const arn = consumerArn(ofStream, row.name, secondsOf(row.createdAtMs));
    const consumer = { ...row, arn, streamName, streamArn: ofStream, removed: removal.signal };
    const held = { consumer, revision, removal };
    this.#byArn.set(arn, held);
    const others = this.#byStream.get(row.streamId) ?? new Map<string, Consumer>();
    this.#byStream.set(row.streamId, others.set(row.name, consumer));
    return held;
  }

  /** A name registered again within a second would get the ARN it had before. */
  #nowMs(): number {
    return Math.max(this.#parts.clock.wallMs(), (this.#removedAtSeconds + 1) * 1000);
  }

  #checkRoom(stream: StreamRow, name: string): void {
    const { accountId } = this.#parts.account;
    const others = this.listOf(stream.id);
    if (others.some((other) => other.name === name)) {
      const text = `Consumer ${name} under stream ${stream.name} already exists for account ${accountId}.`;
      throw kinesisError('ResourceInUseException', text);
    }
    const isCommitted = stream.mode === 'ON_DEMAND' && this.#parts.settings.isCommitted;
    if (others.length >= (isCommitted ? CONSUMERS_COMMITTED_MAX : CONSUMERS_MAX)) {
      const text = `Stream ${stream.name} under account ${accountId} has ${others.length} consumers, its limit; deregister one first.`;
      throw kinesisError('LimitExceededException', text);
    }
    const creating = [...this.#byArn.values()].filter(({ consumer }) => consumer.status === 'CREATING');
    if (creating.length < CONSUMERS_CREATING_MAX) return;
    const text = `Account ${accountId} has ${CONSUMERS_CREATING_MAX} consumers in state CREATING, its limit; try again later.`;
    throw kinesisError('LimitExceededException', text);
  }
}

function keyOf({ streamId, name }: Pick<ConsumerRow, 'streamId' | 'name'>): string {
  return `${PREFIX}${streamId}/${name}`;
}

function rowOf(consumer: Consumer): ConsumerRow {
  const { arn: _arn, streamName: _name, streamArn: _streamArn, removed: _removed, ...row } = consumer;
  return row;
}

function secondsOf(ms: number): number {
  return Math.floor(ms / 1000);
}
