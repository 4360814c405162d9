// The table of contents of the service: every operation that is offered, and the input shape it is checked against.
import type { AwsService } from '../wire/operation.ts';
import { operation, streamingOperation } from './context.ts';
import type { KinesisContext } from './context.ts';
import { KINESIS_MODEL } from './model.ts';
import { addTagsToStream } from './operations/add-tags-to-stream.ts';
import { createStream } from './operations/create-stream.ts';
import { decreaseStreamRetentionPeriod } from './operations/decrease-stream-retention-period.ts';
import { deleteResourcePolicy } from './operations/delete-resource-policy.ts';
import { deleteStream } from './operations/delete-stream.ts';
import { deregisterStreamConsumer } from './operations/deregister-stream-consumer.ts';
import { describeAccountSettings } from './operations/describe-account-settings.ts';
import { describeLimits } from './operations/describe-limits.ts';
import { describeStreamConsumer } from './operations/describe-stream-consumer.ts';
import { describeStreamSummary } from './operations/describe-stream-summary.ts';
import { describeStream } from './operations/describe-stream.ts';
import { disableEnhancedMonitoring } from './operations/disable-enhanced-monitoring.ts';
import { enableEnhancedMonitoring } from './operations/enable-enhanced-monitoring.ts';
import { getRecords } from './operations/get-records.ts';
import { getResourcePolicy } from './operations/get-resource-policy.ts';
import { getShardIterator } from './operations/get-shard-iterator.ts';
import { increaseStreamRetentionPeriod } from './operations/increase-stream-retention-period.ts';
import { listShards } from './operations/list-shards.ts';
import { listStreamConsumers } from './operations/list-stream-consumers.ts';
import { listStreams } from './operations/list-streams.ts';
import { listTagsForResource } from './operations/list-tags-for-resource.ts';
import { listTagsForStream } from './operations/list-tags-for-stream.ts';
import { mergeShards } from './operations/merge-shards.ts';
import { putRecord } from './operations/put-record.ts';
import { putRecords } from './operations/put-records.ts';
import { putResourcePolicy } from './operations/put-resource-policy.ts';
import { registerStreamConsumer } from './operations/register-stream-consumer.ts';
import { removeTagsFromStream } from './operations/remove-tags-from-stream.ts';
import { splitShard } from './operations/split-shard.ts';
import { startStreamEncryption } from './operations/start-stream-encryption.ts';
import { stopStreamEncryption } from './operations/stop-stream-encryption.ts';
import { subscribeToShard } from './operations/subscribe-to-shard.ts';
import { tagResource } from './operations/tag-resource.ts';
import { untagResource } from './operations/untag-resource.ts';
import { updateAccountSettings } from './operations/update-account-settings.ts';
import { updateMaxRecordSize } from './operations/update-max-record-size.ts';
import { updateShardCount } from './operations/update-shard-count.ts';
import { updateStreamMode } from './operations/update-stream-mode.ts';
import { updateStreamWarmThroughput } from './operations/update-stream-warm-throughput.ts';

export function kinesisService(context: KinesisContext): AwsService {
  return {
    model: KINESIS_MODEL,
    operations: {
      AddTagsToStream: operation(context, 'AddTagsToStream', addTagsToStream),
      CreateStream: operation(context, 'CreateStream', createStream),
      DecreaseStreamRetentionPeriod: operation(
        context,
        'DecreaseStreamRetentionPeriod',
        decreaseStreamRetentionPeriod,
      ),
      DeleteResourcePolicy: operation(context, 'DeleteResourcePolicy', deleteResourcePolicy),
      DeleteStream: operation(context, 'DeleteStream', deleteStream),
      DeregisterStreamConsumer: operation(context, 'DeregisterStreamConsumer', deregisterStreamConsumer),
      DescribeAccountSettings: operation(context, 'DescribeAccountSettings', describeAccountSettings),
      DescribeLimits: operation(context, 'DescribeLimits', describeLimits),
      DescribeStream: operation(context, 'DescribeStream', describeStream),
      DescribeStreamConsumer: operation(context, 'DescribeStreamConsumer', describeStreamConsumer),
      DescribeStreamSummary: operation(context, 'DescribeStreamSummary', describeStreamSummary),
      DisableEnhancedMonitoring: operation(context, 'DisableEnhancedMonitoring', disableEnhancedMonitoring),
      EnableEnhancedMonitoring: operation(context, 'EnableEnhancedMonitoring', enableEnhancedMonitoring),
      GetRecords: operation(context, 'GetRecords', getRecords),
      GetResourcePolicy: operation(context, 'GetResourcePolicy', getResourcePolicy),
      GetShardIterator: operation(context, 'GetShardIterator', getShardIterator),
      IncreaseStreamRetentionPeriod: operation(
        context,
        'IncreaseStreamRetentionPeriod',
        increaseStreamRetentionPeriod,
      ),
      ListShards: operation(context, 'ListShards', listShards),
      ListStreamConsumers: operation(context, 'ListStreamConsumers', listStreamConsumers),
      ListStreams: operation(context, 'ListStreams', listStreams),
      ListTagsForResource: operation(context, 'ListTagsForResource', listTagsForResource),
      ListTagsForStream: operation(context, 'ListTagsForStream', listTagsForStream),
      MergeShards: operation(context, 'MergeShards', mergeShards),
      PutRecord: operation(context, 'PutRecord', putRecord),
      PutRecords: operation(context, 'PutRecords', putRecords),
      PutResourcePolicy: operation(context, 'PutResourcePolicy', putResourcePolicy),
      RegisterStreamConsumer: operation(context, 'RegisterStreamConsumer', registerStreamConsumer),
      RemoveTagsFromStream: operation(context, 'RemoveTagsFromStream', removeTagsFromStream),
      SplitShard: operation(context, 'SplitShard', splitShard),
      StartStreamEncryption: operation(context, 'StartStreamEncryption', startStreamEncryption),
      StopStreamEncryption: operation(context, 'StopStreamEncryption', stopStreamEncryption),
      SubscribeToShard: streamingOperation(context, 'SubscribeToShard', subscribeToShard),
      TagResource: operation(context, 'TagResource', tagResource),
      UntagResource: operation(context, 'UntagResource', untagResource),
      UpdateAccountSettings: operation(context, 'UpdateAccountSettings', updateAccountSettings),
      UpdateMaxRecordSize: operation(context, 'UpdateMaxRecordSize', updateMaxRecordSize),
      UpdateShardCount: operation(context, 'UpdateShardCount', updateShardCount),
      UpdateStreamMode: operation(context, 'UpdateStreamMode', updateStreamMode),
      UpdateStreamWarmThroughput: operation(
        context,
        'UpdateStreamWarmThroughput',
        updateStreamWarmThroughput,
      ),
    },
  };
}
