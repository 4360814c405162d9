// Which access keys a server starts with: the pair of the environment, or the first pair, or those it has.
import type { Log, Meta } from '../../stream/ports.ts';
import type { Sealer } from '../../runtime/key-provider.ts';
import { TributaryError } from '../../stream/errors.ts';
import { AccessKeys } from './access-keys.ts';

const ID = 'TRIBUTARY_ACCESS_KEY_ID';
const SECRET = 'TRIBUTARY_SECRET_ACCESS_KEY';

export async function installAccessKeys(
  meta: Meta,
  sealer: Sealer,
  dataFolder: string,
  env: NodeJS.ProcessEnv,
  log: Log,
): Promise<AccessKeys> {
  const keys = await AccessKeys.open(meta, sealer);
  const accessKeyId = env[ID];
  const secretAccessKey = env[SECRET];
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    throw new TributaryError('CONFIG_INVALID', `${ID} and ${SECRET} belong together; set both or neither`);
  }
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    await keys.install({ accessKeyId, secretAccessKey });
    log.info('access key installed', { accessKeyId });
  } else if (keys.isEmpty) {
    // The path, never what is in it.
    log.notice('first access key written', { path: await keys.installFirst(dataFolder) });
  }
  return keys;
}
