// GetResourcePolicy: the text as it was put (Kinesis API, GetResourcePolicy).
import type { KinesisContext } from '../context.ts';
import { namedResource } from '../named-resource.ts';
import type { ResourceInput } from '../named-resource.ts';

/** What the service answers for a resource without one. */
const NO_POLICY = '{}';

export function getResourcePolicy(input: ResourceInput, context: KinesisContext): Promise<object> {
  return Promise.resolve({ Policy: namedResource(input.ResourceARN, context).facts.policy ?? NO_POLICY });
}
