// What policies may ask of the streams: their tags and their own policies, by ARN.
import type { AuthorizerParts } from '../access/authorizer.ts';
import type { Consumers } from './consumers.ts';
import type { StreamCatalog } from './stream-catalog.ts';

const STREAM = /:stream\/([^/]+)$/;

export function resourceFacts(
  catalog: StreamCatalog,
  consumers: Consumers,
): Pick<AuthorizerParts, 'policyOf' | 'tagsOf'> {
  return {
    // No operation of this service stores a policy yet.
    policyOf: () => undefined,
    tagsOf: (arn) => (consumers.byArn(arn) ?? catalog.find(STREAM.exec(arn)?.[1] ?? ''))?.tags,
  };
}
