// StopStreamEncryption: records put from now on are not encrypted; those that are there stay so (Kinesis API,
// StopStreamEncryption).
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { checkDaily, noteDaily } from '../daily-limit.ts';
import { checkKms } from '../encryption-input.ts';
import type { EncryptionInput } from '../encryption-input.ts';
import { kinesisError } from '../errors.ts';

export async function stopStreamEncryption(
  input: EncryptionInput & StreamInput,
  { account, catalog, clock, encryption }: KinesisContext,
): Promise<undefined> {
  checkKms(input);
  await catalog.update(
    streamNameOf(account, input),
    ({ encryption: current, ...row }) => {
      // The key may be gone from the configuration: then its name alone tells it.
      const isMeant =
        current !== undefined &&
        (current.keyId === input.KeyId || encryption.isNameOf(input.KeyId, current.key));
      if (!isMeant) {
        const text = `Stream ${row.name} under account ${account.accountId} is not encrypted with ${input.KeyId}.`;
        throw kinesisError('InvalidArgumentException', text);
      }
      checkDaily(row, 'StopStreamEncryption', clock.wallMs());
      return noteDaily(row, 'StopStreamEncryption', clock.wallMs());
    },
    'UPDATING',
  );
  return undefined;
}
