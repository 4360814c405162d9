// AddTagsToStream: a tag that is there gets the new value (Kinesis API, AddTagsToStream).
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { streamResource } from '../named-resource.ts';
import { withTags } from '../tags.ts';
import type { Tags } from '../tags.ts';

export interface AddTagsToStreamInput extends StreamInput {
  readonly Tags: Tags;
}

export async function addTagsToStream(
  input: AddTagsToStreamInput,
  context: KinesisContext,
): Promise<undefined> {
  await streamResource(input, context).change((facts) => ({
    ...facts,
    tags: withTags(facts.tags, input.Tags),
  }));
  return undefined;
}
