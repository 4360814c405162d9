// Where a listing of shards goes on: what a NextToken of ListShards carries.
import type { Clock } from '../../stream/ports.ts';
import type { TokenSigner } from './page-token.ts';

export interface ShardFilter {
  readonly Type:
    | 'AFTER_SHARD_ID'
    | 'AT_TRIM_HORIZON'
    | 'FROM_TRIM_HORIZON'
    | 'AT_LATEST'
    | 'AT_TIMESTAMP'
    | 'FROM_TIMESTAMP';
  readonly ShardId?: string;
  /** Milliseconds. */
  readonly Timestamp?: number;
}

/** Pages of one listing show the shards as they were when it began. */
export interface ShardPage {
  readonly streamId: string;
  /** Index of the last shard that was listed. */
  readonly after: number;
  readonly filter: ShardFilter;
  /** `nextIndex` of the map then. */
  readonly nextIndex: number;
  readonly beganAtMs: number;
}

interface Parts {
  readonly tokens: TokenSigner;
  readonly clock: Clock;
}

const TOKEN_KIND = 'shards';

export function sealShardPage(page: ShardPage, { tokens, clock }: Parts): string {
  return tokens.sealPage(TOKEN_KIND, page, clock.wallMs());
}

/** Throws InvalidArgumentException or ExpiredNextTokenException. */
export function openShardPage(token: string, { tokens, clock }: Parts): ShardPage {
  return tokens.openPage(TOKEN_KIND, token, clock.wallMs()) as ShardPage;
}
