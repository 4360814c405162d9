// UpdateStreamMode: who scales the stream from now on; its shards stay as they are (Kinesis API, UpdateStreamMode).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import { checkDaily, noteDaily } from '../daily-limit.ts';
import type { StreamMode, StreamRow } from '../stream-row.ts';
import { checkWarmThroughput, withWarmThroughput } from '../warm-throughput.ts';

export interface UpdateStreamModeInput {
  readonly StreamARN: string;
  readonly StreamModeDetails: { readonly StreamMode: StreamMode };
  readonly WarmThroughputMiBps?: number;
}

export async function updateStreamMode(
  input: UpdateStreamModeInput,
  { account, catalog, clock, settings }: KinesisContext,
): Promise<undefined> {
  const name = streamNameOf(account, input);
  const mode = input.StreamModeDetails.StreamMode;
  const warmMiBps = input.WarmThroughputMiBps;
  if (warmMiBps !== undefined) checkWarmThroughput(mode, settings);
  const change = (row: StreamRow): StreamRow => {
    if (row.mode === mode) return row;
    checkDaily(row, 'UpdateStreamMode', clock.wallMs());
    const { warmMiBps: _former, ...noted } = noteDaily(row, 'UpdateStreamMode', clock.wallMs());
    const next =
      warmMiBps === undefined ? { ...noted, mode } : withWarmThroughput({ ...noted, mode }, warmMiBps);
    catalog.limits.checkRounds(row, next.reshard ?? []);
    return next;
  };
  const update = (): Promise<StreamRow> => catalog.update(name, change, 'UPDATING');
  const isNew = mode === 'ON_DEMAND' && catalog.get(name).mode !== mode;
  await (isNew ? catalog.limits.whilePromised(name, { mode, shardCount: 0 }, update) : update());
  return undefined;
}
