// ListTagsForStream: by key, a page at a time (Kinesis API, ListTagsForStream).
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { streamResource } from '../named-resource.ts';
import { tagList } from '../tags.ts';

export interface ListTagsForStreamInput extends StreamInput {
  readonly ExclusiveStartTagKey?: string;
  readonly Limit?: number;
}

export function listTagsForStream(input: ListTagsForStreamInput, context: KinesisContext): Promise<object> {
  const after = input.ExclusiveStartTagKey ?? '';
  const rest = tagList(streamResource(input, context).facts.tags).filter(({ Key }) => Key > after);
  const page = rest.slice(0, input.Limit);
  return Promise.resolve({ Tags: page, HasMoreTags: page.length < rest.length });
}
