// RemoveTagsFromStream (Kinesis API, RemoveTagsFromStream).
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { streamResource } from '../named-resource.ts';
import { withoutTags } from '../tags.ts';

export interface RemoveTagsFromStreamInput extends StreamInput {
  readonly TagKeys: readonly string[];
}

export async function removeTagsFromStream(
  input: RemoveTagsFromStreamInput,
  context: KinesisContext,
): Promise<undefined> {
  await streamResource(input, context).change((facts) => ({
    ...facts,
    tags: withoutTags(facts.tags, input.TagKeys),
  }));
  return undefined;
}
