// The table of contents of the service: every operation that is offered, and the input shape it is checked against.
import type { JsonService } from '../wire/aws-json.ts';
import { operation } from './context.ts';
import type { KinesisContext } from './context.ts';
import { KINESIS_MODEL } from './model.ts';
import { createStream } from './operations/create-stream.ts';
import { deleteStream } from './operations/delete-stream.ts';
import { describeStreamSummary } from './operations/describe-stream-summary.ts';
import { describeStream } from './operations/describe-stream.ts';
import { getRecords } from './operations/get-records.ts';
import { getShardIterator } from './operations/get-shard-iterator.ts';
import { listShards } from './operations/list-shards.ts';
import { listStreams } from './operations/list-streams.ts';
import { putRecord } from './operations/put-record.ts';
import { putRecords } from './operations/put-records.ts';

export function kinesisService(context: KinesisContext): JsonService {
  return {
    model: KINESIS_MODEL,
    operations: {
      CreateStream: operation('CreateStreamInput', context, createStream),
      DeleteStream: operation('DeleteStreamInput', context, deleteStream),
      DescribeStream: operation('DescribeStreamInput', context, describeStream),
      DescribeStreamSummary: operation('DescribeStreamSummaryInput', context, describeStreamSummary),
      GetRecords: operation('GetRecordsInput', context, getRecords),
      GetShardIterator: operation('GetShardIteratorInput', context, getShardIterator),
      ListShards: operation('ListShardsInput', context, listShards),
      ListStreams: operation('ListStreamsInput', context, listStreams),
      PutRecord: operation('PutRecordInput', context, putRecord),
      PutRecords: operation('PutRecordsInput', context, putRecords),
    },
  };
}
