// StartStreamEncryption: records put from now on are encrypted, with another key if there is one already; those that are
// there stay as they are (Kinesis API, StartStreamEncryption).
import type { Caller } from '../../access/caller.ts';
import { streamNameOf } from '../arn.ts';
import type { KinesisContext } from '../context.ts';
import type { StreamInput } from '../account.ts';
import { checkDaily, noteDaily } from '../daily-limit.ts';
import { checkKms } from '../encryption-input.ts';
import type { EncryptionInput } from '../encryption-input.ts';

export async function startStreamEncryption(
  input: EncryptionInput & StreamInput,
  { account, catalog, clock, encryption }: KinesisContext,
  caller: Caller,
): Promise<undefined> {
  checkKms(input);
  const name = streamNameOf(account, input);
  const row = await catalog.whileActive(name, async (now) => now);
  checkDaily(row, 'StartStreamEncryption', clock.wallMs());
  const key = await encryption.begin(row, input.KeyId, caller);
  await catalog.update(
    name,
    (now) => {
      checkDaily(now, 'StartStreamEncryption', clock.wallMs());
      const noted = noteDaily(now, 'StartStreamEncryption', clock.wallMs());
      return { ...noted, encryption: { keyId: input.KeyId, key } };
    },
    'UPDATING',
  );
  return undefined;
}
