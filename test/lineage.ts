// Reads a stream's shards in the order a client library does: a child when all its parents have ended.

export interface ChildShard {
  readonly shardId: string;
  readonly parents: readonly string[];
}

/**
 * Ends when no shard is being read any more. `readShard` reads one from its start and answers its children when it has
 * ended, null when it goes no further. Each shard is read once.
 */
export async function followLineage(
  roots: readonly string[],
  readShard: (shardId: string) => Promise<readonly ChildShard[] | null>,
): Promise<void> {
  const begun = new Set<string>();
  const ended = new Set<string>();
  const follow = async (shardId: string): Promise<void> => {
    if (begun.has(shardId)) return;
    begun.add(shardId);
    const children = await readShard(shardId);
    if (children === null) return;
    ended.add(shardId);
    const due = children.filter(({ parents }) => parents.every((parent) => ended.has(parent)));
    await Promise.all(due.map((child) => follow(child.shardId)));
  };
  await Promise.all(roots.map(follow));
}
