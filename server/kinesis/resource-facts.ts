// What policies may ask of the streams: their tags and their own policies, by ARN.
import type { AuthorizerParts } from '../access/authorizer.ts';
import type { Consumers } from './consumers.ts';
import type { ResourceFacts } from './named-resource.ts';
import type { StreamCatalog } from './stream-catalog.ts';

const STREAM = /:stream\/([^/]+)$/;

export function resourceFacts(
  catalog: StreamCatalog,
  consumers: Consumers,
): Pick<AuthorizerParts, 'policyOf' | 'tagsOf'> {
  const factsOf = (arn: string): ResourceFacts | undefined =>
    consumers.byArn(arn) ?? catalog.find(STREAM.exec(arn)?.[1] ?? '');
  return { policyOf: (arn) => factsOf(arn)?.policy, tagsOf: (arn) => factsOf(arn)?.tags };
}
