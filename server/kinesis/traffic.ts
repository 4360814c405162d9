// What the data operations moved, for the metrics. Named as the service names its own.
import type { MetricsRegistry } from '../../runtime/metrics.ts';

export interface Traffic {
  received(stream: string, records: number, bytes: number): void;
  delivered(stream: string, records: number, bytes: number): void;
  /** A record or a read that a shard's limits refused. */
  throttled(kind: 'write' | 'read', stream: string): void;
}

export function openTraffic(metrics: MetricsRegistry): Traffic {
  const recordsIn = metrics.counter('tributary_incoming_records_total', 'Records stored');
  const bytesIn = metrics.counter('tributary_incoming_bytes_total', 'Bytes of data and keys stored');
  const recordsOut = metrics.counter('tributary_outgoing_records_total', 'Records read by consumers');
  const bytesOut = metrics.counter('tributary_outgoing_bytes_total', 'Bytes read by consumers');
  const throttled = metrics.counter('tributary_throttled_total', 'Records and reads that limits refused');
  return {
    received: (stream, records, bytes) => {
      recordsIn.add(records, { stream });
      bytesIn.add(bytes, { stream });
    },
    delivered: (stream, records, bytes) => {
      recordsOut.add(records, { stream });
      bytesOut.add(bytes, { stream });
    },
    throttled: (kind, stream) => throttled.add(1, { kind, stream }),
  };
}
