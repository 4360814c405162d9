// What the gateway's metrics read when they are asked for.
import type { Store } from '../stream/ports.ts';
import type { MetricsRegistry } from '../runtime/metrics.ts';
import type { Intake } from './intake.ts';
import type { LocalLog } from './local-log.ts';
import type { ServerLink } from './server-link.ts';

export interface ObservedParts {
  readonly store: Store;
  readonly local: LocalLog;
  readonly intake: Intake;
  readonly link: ServerLink;
}

export function observeGateway(
  metrics: MetricsRegistry,
  { store, local, intake, link }: ObservedParts,
): void {
  metrics.observe('log_file_bytes', 'Size of the log on disk', () => store.usage().fileBytes);
  metrics.observe('log_live_bytes', 'Bytes of the log in use', () => store.usage().liveBytes);
  metrics.observe('log_backlog_records', 'Records the server does not have', () => local.unsentRecords);
  metrics.observe(
    'log_evicted_records',
    'Records evicted before the server had them',
    () => local.evictedRecords,
  );
  metrics.observe('intake_records', 'Records made durable since the start', () => intake.counts.records);
  metrics.observe(
    'intake_quarantined',
    'Payloads quarantined since the start',
    () => intake.counts.quarantined,
  );
  metrics.observe('uplink_online', '1 while the server is reached', () =>
    Number(link.status.state === 'online'),
  );
}
