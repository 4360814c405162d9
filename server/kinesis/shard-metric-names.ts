// The metrics of single shards (Kinesis API, EnhancedMetrics), in the service's order.

export const SHARD_METRICS = [
  'IncomingBytes',
  'IncomingRecords',
  'OutgoingBytes',
  'OutgoingRecords',
  'WriteProvisionedThroughputExceeded',
  'ReadProvisionedThroughputExceeded',
  'IteratorAgeMilliseconds',
] as const;

export type ShardMetric = (typeof SHARD_METRICS)[number];
