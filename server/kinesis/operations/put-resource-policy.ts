// PutResourcePolicy: in the place of the one that is there (Kinesis API, PutResourcePolicy).
import { parsePolicy } from '../../access/policy/parse-policy.ts';
import { PolicyError } from '../../access/policy/policy-error.ts';
import type { KinesisContext } from '../context.ts';
import { kinesisError } from '../errors.ts';
import { namedResource } from '../named-resource.ts';

export interface PutResourcePolicyInput {
  readonly ResourceARN: string;
  readonly Policy: string;
}

export async function putResourcePolicy(
  input: PutResourcePolicyInput,
  context: KinesisContext,
): Promise<undefined> {
  const resource = namedResource(input.ResourceARN, context);
  checkPolicy(input.Policy);
  await resource.change((facts) => ({ ...facts, policy: input.Policy }));
  return undefined;
}

/** What cannot be read whole would have to be taken for a denial of everything later. */
function checkPolicy(text: string): void {
  try {
    parsePolicy(text, 'resource');
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw kinesisError('InvalidArgumentException', `The policy is malformed: ${error.message}`);
  }
}
