// UpdateAccountSettings (Kinesis API, UpdateAccountSettings).
import type { KinesisContext } from '../context.ts';

export interface UpdateAccountSettingsInput {
  readonly MinimumThroughputBillingCommitment: { readonly Status: 'ENABLED' | 'DISABLED' };
}

export async function updateAccountSettings(
  { MinimumThroughputBillingCommitment: { Status } }: UpdateAccountSettingsInput,
  { settings }: KinesisContext,
): Promise<object> {
  await (Status === 'ENABLED' ? settings.commit() : settings.endCommitment());
  return settings.describe();
}
