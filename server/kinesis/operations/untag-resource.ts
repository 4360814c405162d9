// UntagResource: of a stream or a consumer (Kinesis API, UntagResource).
import type { KinesisContext } from '../context.ts';
import { namedResource } from '../named-resource.ts';
import { withoutTags } from '../tags.ts';

export interface UntagResourceInput {
  readonly ResourceARN: string;
  readonly TagKeys: readonly string[];
}

export async function untagResource(input: UntagResourceInput, context: KinesisContext): Promise<undefined> {
  await namedResource(input.ResourceARN, context).change((facts) => ({
    ...facts,
    tags: withoutTags(facts.tags, input.TagKeys),
  }));
  return undefined;
}
