// Builds the streams, their consumers, and what looks after their shards, for the composition root.
import type { DisposeStack } from '../../runtime/dispose-stack.ts';
import { repeat } from '../../runtime/repeat.ts';
import type { ServerConfig } from '../config.ts';
import type { ServerBase } from '../server-base.ts';
import type { ServerStore } from '../server-store.ts';
import { accountLimits } from './account-limits.ts';
import { AccountSettings } from './account-settings.ts';
import { Consumers } from './consumers.ts';
import { observeHeat } from './shard-heat.ts';
import { shardLimits } from './shard-limits.ts';
import { ShardMeters } from './shard-meter.ts';
import { ShardPruner } from './shard-pruner.ts';
import { ShardScaler } from './shard-scaler.ts';
import { StateDelay } from './state-delay.ts';
import { StreamCatalog } from './stream-catalog.ts';
import { openTraffic } from './traffic.ts';
import type { Traffic } from './traffic.ts';

export interface Streams {
  readonly catalog: StreamCatalog;
  readonly settings: AccountSettings;
  readonly consumers: Consumers;
  readonly meters: ShardMeters;
  readonly traffic: Traffic;
}

const SCALING_INTERVAL_MS = 5_000;
const PRUNING_INTERVAL_MS = 60_000;

/** What must be closed goes onto `parts`. */
export async function openStreams(
  { limits }: ServerConfig,
  { clock, digest, account, metrics, monotonicMs, ...base }: ServerBase,
  { store, streamKeys }: ServerStore,
  parts: DisposeStack,
): Promise<Streams> {
  const log = base.log.child('kinesis');
  const delay = parts.use(new StateDelay(limits.stateDelayMs, log));
  const catalog = await StreamCatalog.open({
    store,
    clock,
    digest,
    account,
    limits: accountLimits(limits),
    delay,
  });
  await streamKeys.follow(
    (streamId) => catalog.byId(streamId)?.encryption?.key,
    (streamId) => catalog.isLasting(streamId),
  );
  catalog.beforeGone((row) => streamKeys.removeOf(row.id));
  const settings = await AccountSettings.open(store.meta, clock);
  const consumers = await Consumers.open({ meta: store.meta, catalog, clock, account, delay, settings });
  const meters = new ShardMeters(shardLimits(limits.profile, limits.shard), monotonicMs);
  const scaler = new ShardScaler({ catalog, meters, now: monotonicMs, log });
  parts.use(repeat('scaling', SCALING_INTERVAL_MS, () => scaler.look(), log));
  const pruner = new ShardPruner({ catalog, log: store.log, clock, meters, now: monotonicMs });
  parts.use(repeat('pruning', PRUNING_INTERVAL_MS, () => pruner.look(), log));
  observeHeat(metrics, catalog, meters);
  return { catalog, settings, consumers, meters, traffic: openTraffic(metrics) };
}
