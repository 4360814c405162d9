// TagResource: of a stream or a consumer (Kinesis API, TagResource).
import type { KinesisContext } from '../context.ts';
import { namedResource } from '../named-resource.ts';
import { withTags } from '../tags.ts';
import type { Tags } from '../tags.ts';

export interface TagResourceInput {
  readonly ResourceARN: string;
  readonly Tags: Tags;
}

export async function tagResource(input: TagResourceInput, context: KinesisContext): Promise<undefined> {
  await namedResource(input.ResourceARN, context).change((facts) => ({
    ...facts,
    tags: withTags(facts.tags, input.Tags),
  }));
  return undefined;
}
