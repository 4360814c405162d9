// The numbers of the server that are read when they are asked for.
import type { MetricsRegistry } from '../runtime/metrics.ts';
import { programVersion } from '../runtime/program-version.ts';
import type { RecordLog } from '../storage/record-log.ts';
import type { Store } from '../stream/ports.ts';
import type { GatewayRegistry } from './fleet/gateway-registry.ts';
import type { StreamCatalog } from './kinesis/stream-catalog.ts';
import type { Subscriptions } from './kinesis/subscriptions.ts';
import type { SyncEndpoint } from './sync-endpoint.ts';

export interface Observed {
  readonly store: Store;
  readonly records: RecordLog;
  readonly catalog: StreamCatalog;
  readonly subscriptions: Subscriptions;
  readonly sync: SyncEndpoint;
  readonly registry: GatewayRegistry;
}

export function observeServer(
  metrics: MetricsRegistry,
  { store, records, catalog, subscriptions, sync, registry }: Observed,
): void {
  metrics.gauge('tributary_server_info', 'Version of the program').set(1, { version: programVersion() });
  metrics.observe('tributary_store_file_bytes', 'Size of the store file', () => store.usage().fileBytes);
  metrics.observe('tributary_store_live_bytes', 'Pages in use', () => store.usage().liveBytes);
  metrics.observe(
    'tributary_store_lost_records',
    'Records that the repair of a damaged store could not bring back',
    () => store.usage().lostRecords,
  );
  metrics.observe('tributary_pending_bytes', 'Records that wait for the disk', () => records.pendingBytes);
  metrics.observe('tributary_streams', 'Streams', () => catalog.list().length);
  metrics.observe('tributary_subscriptions', 'Consumers that are pushed a shard', () => subscriptions.count);
  metrics.observe('tributary_sync_sessions', 'Gateways connected', () => sync.sessionCount);
  metrics.observe('tributary_gateways', 'Gateways enrolled', () => registry.list().length);
  metrics.observe('tributary_gateways_online', 'Gateways with a session', () => registry.onlineCount);
  metrics.observe('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss());
}
