// Following a shard without polling, above any engine that can say when something changed.
import type { BlockPage } from '../stream/ports.ts';
import type { Position } from '../stream/position.ts';
import type { ChangeSignal } from './change-signal.ts';

/** Pages with blocks, or with the closed end. */
export async function* tailShard(
  read: (from: Position) => Promise<BlockPage>,
  changes: ChangeSignal,
  from: Position,
  signal: AbortSignal,
): AsyncGenerator<BlockPage> {
  let next = from;
  while (!signal.aborted) {
    const change = changes.next();
    const page = await read(next);
    next = page.next;
    if (page.blocks.length > 0 || page.closedEnd) yield page;
    if (page.closedEnd) return;
    if (page.blocks.length === 0 && !(await change.orAbort(signal))) return;
  }
}
