// Refusals of this service: AccessDeniedException, and its likeness for the keys that encrypt streams.
import type { Access } from '../access/open-access.ts';
import type { Caller } from '../access/caller.ts';
import type { Authorize } from './context.ts';
import { kinesisError } from './errors.ts';

export function kinesisAuthorize({ denialOf }: Pick<Access, 'denialOf'>): Authorize {
  return (caller, action, resource, requested) => {
    const denial = denialOf(caller, action, resource, requested);
    if (denial !== null) throw kinesisError('AccessDeniedException', denial);
  };
}

/** Writing into an encrypted stream needs kms:GenerateDataKey, reading kms:Decrypt. Throws KMSAccessDeniedException. */
export function authorizeKey(
  { denialOf }: Pick<Access, 'denialOf'>,
  caller: Caller,
  action: 'kms:GenerateDataKey' | 'kms:Decrypt',
  keyArn: string,
): void {
  if (denialOf(caller, action, keyArn) === null) return;
  throw kinesisError(
    'KMSAccessDeniedException',
    `User: ${caller.principal.arn} is not authorized to perform: ${action} on resource: ${keyArn}`,
  );
}
