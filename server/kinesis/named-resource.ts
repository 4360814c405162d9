// What streams and consumers have in common: tags and a policy, which the operations for resources read and change by ARN.
import { streamNameOf } from './arn.ts';
import type { KinesisContext } from './context.ts';
import type { StreamInput } from './account.ts';
import { namedConsumer } from './named-consumer.ts';
import type { Tags } from './tags.ts';

export interface ResourceFacts {
  readonly tags: Tags;
  /** The document of the policy that belongs to it; undefined: it has none. */
  readonly policy?: string | undefined;
}

export interface ResourceInput {
  /** Of a stream or a consumer. */
  readonly ResourceARN: string;
}

export interface Resource {
  readonly facts: ResourceFacts;
  /** Durable when resolved. Throws ResourceInUseException unless the resource is ACTIVE. */
  change(change: (facts: ResourceFacts) => ResourceFacts): Promise<void>;
}

/** Of a stream or a consumer. Throws ResourceNotFoundException. */
export function namedResource(arn: string, context: KinesisContext): Resource {
  if (!arn.includes('/consumer/')) return streamResource({ StreamARN: arn }, context);
  const consumer = namedConsumer({ ConsumerARN: arn }, context);
  return {
    facts: consumer,
    change: (change) => context.consumers.update(consumer, (row) => ({ ...row, ...change(row) })),
  };
}

export function streamResource(input: StreamInput, { account, catalog }: KinesisContext): Resource {
  const name = streamNameOf(account, input);
  return {
    facts: catalog.get(name),
    change: async (change) => void (await catalog.update(name, (row) => ({ ...row, ...change(row) }))),
  };
}
