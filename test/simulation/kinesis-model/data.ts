// What the model says of records: where they are put, and what an iterator brings.
import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import { hashKeyRange } from './shards.ts';
import { Refused, idOf, openShards } from './state.ts';
import type { Json, Model, ModelShard, ModelStream, Operation } from './state.ts';

const ITERATOR_LIFE_MS = 300_000;

interface Entry {
  readonly Data: string;
  readonly PartitionKey: string;
  readonly ExplicitHashKey?: string;
}

interface Placed {
  readonly ShardId: string;
  readonly SequenceNumber: string;
}

function shardFor(stream: ModelStream, { PartitionKey, ExplicitHashKey }: Entry): ModelShard {
  const hash = createHash('md5').update(PartitionKey).digest('hex');
  const key = BigInt(ExplicitHashKey ?? `0x${hash}`);
  const shard = openShards(stream).find(({ start, end }) => start <= key && key <= end);
  if (shard === undefined) throw new Error(`no shard has ${key}`);
  return shard;
}

/** The last number of the shard, or of those it came from. */
function lastNumber(stream: ModelStream, shard: ModelShard): string {
  const own = shard.records.at(-1)?.number;
  if (own !== undefined) return own;
  const parents = shard.parents.flatMap((index) => stream.shards.get(index) ?? []);
  return parents
    .map((parent) => lastNumber(stream, parent))
    .reduce((most, number) => (number > most ? number : most), '');
}

function store(model: Model, stream: ModelStream, entry: Entry, placed: Placed): void {
  const shard = shardFor(stream, entry);
  const { Data, PartitionKey } = entry;
  expect(placed).toEqual({
    ShardId: idOf(shard.index),
    SequenceNumber: expect.stringMatching(/^\d{56}$/) as unknown,
  });
  expect(placed.SequenceNumber > lastNumber(stream, shard)).toBe(true);
  shard.records.push({
    Data,
    PartitionKey,
    atMs: model.nowMs,
    number: placed.SequenceNumber,
    isEncrypted: stream.keyId !== null,
  });
}

const encryptionOf = ({ keyId }: ModelStream): string | undefined => (keyId === null ? undefined : 'KMS');

function startPlace(model: Model, shard: ModelShard, input: Json): number {
  const { ShardIteratorType, StartingSequenceNumber, Timestamp } = input;
  if (ShardIteratorType === 'TRIM_HORIZON') return 0;
  if (ShardIteratorType === 'LATEST') return shard.records.length;
  if (ShardIteratorType === 'AT_TIMESTAMP') {
    const fromMs = Math.round(Number(Timestamp) * 1000);
    if (fromMs > model.nowMs) throw new Refused('InvalidArgumentException');
    const place = shard.records.findIndex(({ atMs }) => atMs >= fromMs);
    return place === -1 ? shard.records.length : place;
  }
  const place = shard.records.findIndex(({ number }) => number === StartingSequenceNumber);
  if (place === -1) throw new Refused('InvalidArgumentException');
  return ShardIteratorType === 'AT_SEQUENCE_NUMBER' ? place : place + 1;
}

function childrenOf(stream: ModelStream, shard: ModelShard): object[] {
  return [...stream.shards.values()]
    .filter(({ parents }) => parents.includes(shard.index))
    .map((child) => ({
      ShardId: idOf(child.index),
      ParentShards: child.parents.map(idOf),
      HashKeyRange: hashKeyRange(child),
    }));
}

export const DATA: Readonly<Record<string, Operation>> = {
  PutRecord: (model, input) => {
    const stream = model.stream(input);
    return ({ EncryptionType, ...placed }) => {
      expect(EncryptionType).toBe(encryptionOf(stream));
      store(model, stream, input as unknown as Entry, placed as unknown as Placed);
    };
  },

  PutRecords: (model, input) => {
    const stream = model.stream(input);
    const entries = input['Records'] as Entry[];
    return ({ FailedRecordCount, Records, EncryptionType }) => {
      expect([FailedRecordCount, EncryptionType]).toEqual([0, encryptionOf(stream)]);
      expect(Records).toHaveLength(entries.length);
      entries.forEach((entry, place) => store(model, stream, entry, (Records as Placed[])[place] as Placed));
    };
  },

  GetShardIterator: (model, input) => {
    const stream = model.stream(input);
    const shard = [...stream.shards.values()].find(({ index }) => idOf(index) === input['ShardId']);
    if (shard === undefined) throw new Refused('ResourceNotFoundException');
    const place = startPlace(model, shard, input);
    return ({ ShardIterator }) =>
      void model.cursors.set(String(ShardIterator), { stream, shard, place, madeAtMs: model.nowMs });
  },

  GetRecords: (model, { ShardIterator, Limit }) => {
    const cursor = model.cursors.get(String(ShardIterator));
    if (cursor === undefined) throw new Refused('InvalidArgumentException');
    if (model.nowMs - cursor.madeAtMs > ITERATOR_LIFE_MS) throw new Refused('ExpiredIteratorException');
    const { stream, shard } = cursor;
    const isThere = model.streams.get(stream.name) === stream && stream.shards.has(shard.index);
    if (!isThere) throw new Refused('ResourceNotFoundException');
    const start = Math.max(cursor.place, shard.kept);
    const end = Math.min(start + Number(Limit), shard.records.length);
    const next = shard.records[end];
    const isOver = shard.closedAtMs !== null && next === undefined;
    return ({ NextShardIterator, ...answer }) => {
      expect(answer).toEqual({
        Records: shard.records.slice(start, end).map(({ atMs, number, isEncrypted, Data, PartitionKey }) => ({
          SequenceNumber: number,
          ApproximateArrivalTimestamp: atMs / 1000,
          Data,
          PartitionKey,
          ...(isEncrypted ? { EncryptionType: 'KMS' } : {}),
        })),
        MillisBehindLatest: next === undefined ? 0 : model.nowMs - next.atMs,
        ...(isOver ? { ChildShards: childrenOf(stream, shard) } : {}),
      });
      expect(NextShardIterator === undefined).toBe(isOver);
      const goesOn = { ...cursor, place: end, madeAtMs: model.nowMs };
      if (!isOver) model.cursors.set(String(NextShardIterator), goesOn);
    };
  },
};
