// `tributary log tail`: the newest records of a data folder, with the time each was taken in as far as that is known now.
import { ANCHOR_PREFIX, decodeAnchor } from '../gateway/clock-anchors.ts';
import { nodeCodecs } from '../runtime/codecs.ts';
import { nodeDigest } from '../runtime/digest.ts';
import { isSealed, newestBlocks, storeFilesIn } from '../server/log-files.ts';
import type { FoundBlock, FoundShard } from '../server/log-files.ts';
import { decodeBlock } from '../stream/block.ts';
import type { Block } from '../stream/block.ts';
import { isTributaryError } from '../stream/errors.ts';
import { eventTime } from '../stream/event-time.ts';
import type { ClockAnchor } from '../stream/event-time.ts';
import { printDocument, printLine, printNotice, printable } from './output.ts';

export interface TailFlags {
  readonly stream?: string;
  /** Records of each shard. */
  readonly limit: number;
  readonly json?: boolean;
}

interface ShownRecord {
  readonly stream: string;
  readonly shard: string;
  /** Place in the shard since it was made. */
  readonly ordinal: number;
  /** As far as it is known; `clock` says how far that can be trusted. */
  readonly eventTime: string;
  readonly clock: string;
  readonly partitionKey: string;
  readonly data: Uint8Array;
}

const RECORD_SCHEMA = 'tributary.log-record/1';
const BLOCKS_MAX = 1_000;
const DATA_CHARACTERS_SHOWN = 160;

export function tailLog(path: string, flags: TailFlags): void {
  for (const file of storeFilesIn(path)) {
    const { shards, meta } = newestBlocks(file, {
      recordsMax: flags.limit,
      blocksMax: BLOCKS_MAX,
      metaPrefix: ANCHOR_PREFIX,
    });
    const anchors = new Map(
      [...meta].map(([key, value]) => [key.slice(ANCHOR_PREFIX.length), decodeAnchor(value)]),
    );
    for (const shard of shards) {
      if (flags.stream !== undefined && shard.stream !== flags.stream) continue;
      const records = shard.blocks.flatMap((block) => recordsOf(shard, block, anchors));
      for (const record of records.slice(-flags.limit)) show(record, flags.json === true);
    }
  }
}

function recordsOf(
  { stream, shardId }: FoundShard,
  found: FoundBlock,
  anchors: ReadonlyMap<string, ClockAnchor>,
): ShownRecord[] {
  if (isSealed(found.block)) {
    printNotice(`${found.recordCount} records of ${stream} are encrypted and not shown`);
    return [];
  }
  const decoded = decodedOf(found);
  if (decoded === null) {
    printNotice(`${found.recordCount} records of ${stream} are damaged and not shown`);
    return [];
  }
  const { header, records } = decoded;
  const anchor = anchors.get(Buffer.from(header.bootId).toString('hex'));
  return records.map(({ partitionKey, data, monotonicUs }, index) => {
    const { ms, state } = eventTime(header, monotonicUs, anchor);
    return {
      stream,
      shard: shardId,
      ordinal: found.cumulativeRecords - found.recordCount + index + 1,
      eventTime: new Date(ms).toISOString(),
      clock: state,
      partitionKey,
      data,
    };
  });
}

function decodedOf({ block }: FoundBlock): Block | null {
  try {
    return decodeBlock(block, nodeDigest, nodeCodecs);
  } catch (error) {
    if (!isTributaryError(error)) throw error;
    return null;
  }
}

function show({ data, ...record }: ShownRecord, isJson: boolean): void {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (isJson) return printDocument(RECORD_SCHEMA, { ...record, data: bytes.toString('base64') });
  const { stream, shard, ordinal, eventTime: time, clock, partitionKey } = record;
  const text = bytes.toString('utf8').slice(0, DATA_CHARACTERS_SHOWN);
  printLine(
    printable(
      `${time}${clock === 'unknown' ? '?' : ' '} ${stream}/${shard} ${ordinal}  ${partitionKey}  ${text}`,
    ),
  );
}
