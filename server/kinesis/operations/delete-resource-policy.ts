// DeleteResourcePolicy (Kinesis API, DeleteResourcePolicy).
import type { KinesisContext } from '../context.ts';
import { kinesisError } from '../errors.ts';
import { namedResource } from '../named-resource.ts';
import type { ResourceInput } from '../named-resource.ts';

export async function deleteResourcePolicy(
  { ResourceARN }: ResourceInput,
  context: KinesisContext,
): Promise<undefined> {
  await namedResource(ResourceARN, context).change((facts) => {
    if (facts.policy !== undefined) return { ...facts, policy: undefined };
    throw kinesisError(
      'ResourceNotFoundException',
      `No resource policy found for resource ARN ${ResourceARN}.`,
    );
  });
  return undefined;
}
