// ListTagsForResource: all of a stream's or a consumer's, by key (Kinesis API, ListTagsForResource).
import type { KinesisContext } from '../context.ts';
import { namedResource } from '../named-resource.ts';
import type { ResourceInput } from '../named-resource.ts';
import { tagList } from '../tags.ts';

export function listTagsForResource(input: ResourceInput, context: KinesisContext): Promise<object> {
  return Promise.resolve({ Tags: tagList(namedResource(input.ResourceARN, context).facts.tags) });
}
