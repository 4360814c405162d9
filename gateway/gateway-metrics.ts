// What the gateway's metrics read when they are asked for.
import type { Store } from '../stream/ports.ts';
import { diskWrittenBytes } from '../runtime/disk-counter.ts';
import type { MetricsRegistry } from '../runtime/metrics.ts';
import type { Intake } from './intake.ts';
import type { LocalLog } from './local-log.ts';
import type { LogWear } from './log-wear.ts';
import type { ServerLink } from './server-link.ts';

export interface ObservedParts {
  readonly store: Store;
  readonly storeFile: string;
  readonly local: LocalLog;
  readonly intake: Intake;
  readonly link: ServerLink;
  readonly wear: LogWear;
}

export function observeGateway(
  metrics: MetricsRegistry,
  { store, storeFile, local, intake, link, wear }: ObservedParts,
): void {
  metrics.observe('log_file_bytes', 'Size of the log on disk', () => store.usage().fileBytes);
  metrics.observe('log_live_bytes', 'Bytes of the log in use', () => store.usage().liveBytes);
  metrics.observe('log_backlog_records', 'Records the server does not have', () => local.unsentRecords);
  metrics.observe(
    'log_evicted_records',
    'Records evicted before the server had them, by stream and class',
    () => local.evictions().map(({ records, ...labels }) => ({ labels, value: records })),
  );
  metrics.observe(
    'log_lost_records',
    'Records that the repair of a damaged log could not bring back',
    () => store.usage().lostRecords,
  );
  metrics.observe('intake_records', 'Records made durable since the start', () => intake.counts.records);
  metrics.observe(
    'intake_quarantined',
    'Payloads quarantined since the start',
    () => intake.counts.quarantined,
  );
  metrics.observe(
    'intake_payload_bytes',
    'Data of the records made durable since the start',
    () => intake.counts.payloadBytes,
  );
  metrics.observe(
    'log_written_bytes',
    'Bytes the log gave to the disk since the start, with what the file system adds',
    () => wear.status.writtenBytes,
  );
  metrics.observe(
    'log_write_amplification',
    'log_written_bytes for each of intake_payload_bytes',
    () => wear.status.writtenBytes / Math.max(1, intake.counts.payloadBytes),
  );
  metrics.observe(
    'log_wear_credit_bytes',
    'Bytes the log may write before its commits slow down',
    () => wear.status.creditBytes ?? Infinity,
  );
  metrics.observe(
    'disk_written_bytes',
    'Bytes all programs wrote to the disk of the log since the machine started; NaN where it is not counted',
    () => diskWrittenBytes(storeFile) ?? Number.NaN,
  );
  metrics.observe('uplink_online', '1 while the server is reached', () =>
    Number(link.status.state === 'online'),
  );
}
