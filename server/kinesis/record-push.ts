// Pushes the records of a shard to one subscriber as they become durable, as fast as it takes them and its rate allows
// (Kinesis API, SubscribeToShardEvent).
import type { RecordPage } from '../../storage/record-log.ts';
import type { Position } from '../../stream/position.ts';
import { recordBytes } from '../../stream/record.ts';
import { formatSequenceNumber } from '../../stream/sequence-number.ts';
import { shardAt } from '../../stream/shard-map.ts';
import type { Shard } from '../../stream/shard-map.ts';
import { pause } from '../../sync/pause.ts';
import type { Caller } from '../access/caller.ts';
import type { EventReply } from '../wire/event-reply.ts';
import type { KinesisContext } from './context.ts';
import { describeChildren } from './description.ts';
import { KINESIS_MODEL } from './model.ts';
import { RecordList } from './record-list.ts';
import { shardRef } from './stream-row.ts';
import type { StreamRow } from './stream-row.ts';
import type { Subscription } from './subscriptions.ts';

/** Kinesis API: of one event. A record may be larger. */
const EVENT_MAX = { records: 10_000, bytes: 1024 * 1024 };
/** Kinesis API: with nothing to tell an empty event comes at least this often; clients give up on silence. */
const SILENCE_MS = 5_000;
/** Kinesis API: a subscription lasts five minutes. */
const SESSION_MS = 300_000;
const EVENT = 'SubscribeToShardEvent';
const EVENT_SHAPE = { shapes: KINESIS_MODEL.shapes, name: EVENT };

export interface PushFrom {
  readonly row: StreamRow;
  readonly shard: Shard;
  readonly position: Position;
  readonly consumerName: string;
  /** Who may see what is encrypted. */
  readonly caller: Caller;
}

export class RecordPush {
  readonly #context: KinesisContext;
  readonly #from: PushFrom;
  readonly #events: EventReply;
  readonly #subscription: Subscription;
  /** Where the next event goes on: all that was sent lies below. */
  #next: Position;
  #millisBehind = 0;
  #silence: NodeJS.Timeout | null = null;

  constructor(context: KinesisContext, from: PushFrom, events: EventReply, subscription: Subscription) {
    this.#context = context;
    this.#from = from;
    this.#events = events;
    this.#subscription = subscription;
    this.#next = from.position;
  }

  /** Resolves when the shard has ended, the client has gone, or the subscription is over, after five minutes at the latest. */
  async run(): Promise<void> {
    const leave = (): void => this.#subscription.end(null);
    const session = setTimeout(leave, SESSION_MS);
    const { gone } = this.#events;
    gone.addEventListener('abort', leave);
    if (gone.aborted) leave();
    this.#silence = setInterval(() => this.#breakSilence(), SILENCE_MS);
    try {
      await this.#follow();
    } finally {
      clearTimeout(session);
      clearInterval(this.#silence);
      this.#silence = null;
      gone.removeEventListener('abort', leave);
    }
  }

  async #follow(): Promise<void> {
    const { row, shard, position } = this.#from;
    const { signal } = this.#subscription;
    const pages = this.#context.records.tail(shardRef(row, shard), position, EVENT_MAX, signal);
    for await (const page of pages) {
      if (signal.aborted) return;
      // Its last records do not wait for its children.
      if (page.records.length > 0 || !page.closedEnd) await this.#send(page, undefined);
      if (!page.closedEnd) continue;
      const children = await this.#children();
      if (!signal.aborted) await this.#send({ ...page, records: [] }, children);
    }
  }

  async #send(page: RecordPage, children: readonly object[] | undefined): Promise<void> {
    const { records, nextArrivalMs } = page;
    const { clock, encryption, traffic } = this.#context;
    encryption.admitRead(records, this.#from.caller);
    this.#next = page.next;
    this.#millisBehind = nextArrivalMs === null ? 0 : Math.max(0, clock.wallMs() - nextArrivalMs);
    const { row, shard } = this.#from;
    const { signal } = this.#subscription;
    this.#silence?.refresh();
    const event = this.#event(new RecordList(records, shard.index), children);
    await this.#events.send(EVENT, event, EVENT_SHAPE, signal);
    const bytes = records.reduce((sum, record) => sum + recordBytes(record), 0);
    traffic.pushed(row, shard.index, this.#from.consumerName, {
      records: records.length,
      bytes,
      ageMs: this.#millisBehind,
    });
    const waitMs = this.#subscription.take(bytes);
    if (waitMs > 0 && children === undefined) await pause(waitMs, signal);
  }

  /** At the end of the shard there is nothing to go on with but its children. */
  #event(records: RecordList, children: readonly object[] | undefined): object {
    const goesOn =
      children === undefined
        ? { ContinuationSequenceNumber: this.#continuation() }
        : { ChildShards: children };
    return { Records: records, ...goesOn, MillisBehindLatest: this.#millisBehind };
  }

  /** Not below what was sent, and below what comes: right before the place where reading goes on. */
  #continuation(): string {
    const before = this.#next > 0n ? this.#next - 1n : 0n;
    return formatSequenceNumber(before as Position, this.#from.shard.index);
  }

  /** Nothing is heaped up for a client that does not even take what it has. */
  #breakSilence(): void {
    if (this.#events.isBlocked) return;
    const event = this.#event(new RecordList([], this.#from.shard.index), undefined);
    void this.#events.send(EVENT, event, EVENT_SHAPE, this.#subscription.signal);
  }

  /** The children of a closed shard, which are published a moment after it was closed. */
  async #children(): Promise<readonly object[]> {
    const { row, shard } = this.#from;
    const { catalog } = this.#context;
    const { signal } = this.#subscription;
    for (;;) {
      const change = catalog.nextChange();
      const now = catalog.byId(row.id);
      if (now !== undefined && shardAt(now.map, shard.index)?.closedAtMs !== null)
        return describeChildren(now, shard.index);
      if (!(await change.orAbort(signal))) return [];
    }
  }
}
