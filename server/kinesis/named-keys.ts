// The keys that streams may be encrypted with, by every name that requests give them: id, ARN, alias or alias ARN. They are
// the operator's (configuration `keys`) and one of the server's own, and stand for keys of AWS KMS to its clients.
import { localMasterKey, openMasterKey } from '../../runtime/master-key.ts';
import type { KeyPlaces, MasterKey } from '../../runtime/master-key.ts';
import { namedKeySetting } from '../../runtime/named-key-config.ts';
import type { NamedKeyConfig } from '../../runtime/named-key-config.ts';
import { isTributaryError } from '../../stream/errors.ts';
import type { Account } from './arn.ts';
import { kinesisError } from './errors.ts';
import type { KinesisErrorName } from './errors.ts';

/** Kinesis API, StartStreamEncryption: the key that is there without being made. */
const BUILT_IN = { id: 'aws-kinesis', alias: 'aws/kinesis' } as const;
const NAME = /^(?:arn:aws[a-z-]*:kms:(?<region>[^:]*):(?<accountId>[^:]*):)?(?:key\/)?(?<name>.+)$/;

export interface NamedKeysParts {
  readonly account: Account;
  readonly configs: Readonly<Record<string, NamedKeyConfig>>;
  readonly places: KeyPlaces;
  /** 32 bytes, the server's own. */
  readonly builtIn: Uint8Array;
}

export class NamedKeys {
  readonly #parts: NamedKeysParts;
  readonly #masters = new Map<string, MasterKey>();

  constructor(parts: NamedKeysParts) {
    this.#parts = parts;
    this.#masters.set(BUILT_IN.id, localMasterKey(parts.builtIn, { provider: 'file' }));
  }

  /** The id of the key that a KeyId names. Throws KMSNotFoundException. */
  idOf(keyId: string): string {
    const { region, accountId, name = '' } = NAME.exec(keyId)?.groups ?? {};
    const { account, configs } = this.#parts;
    const isHere =
      (region ?? account.region) === account.region && (accountId ?? account.accountId) === account.accountId;
    const id = isHere ? this.#idNamed(name) : undefined;
    if (id !== undefined && (id === BUILT_IN.id || Object.hasOwn(configs, id))) return id;
    throw kinesisError(
      'KMSNotFoundException',
      `Key '${keyId}' does not exist; keys are named in the server's configuration, under keys.`,
    );
  }

  arnOf(id: string): string {
    const { region, accountId } = this.#parts.account;
    return `arn:aws:kms:${region}:${accountId}:key/${id}`;
  }

  /** Anybody who may use the stream may use it, as with keys that AWS manages. */
  isBuiltIn(id: string): boolean {
    return id === BUILT_IN.id;
  }

  /** Its calls throw what AWS says of keys that cannot be used, and so does this. */
  readonly masterOf = (id: string): MasterKey => {
    const arn = this.arnOf(id);
    const config = this.#parts.configs[id];
    if (config?.state === 'disabled') throw kinesisError('KMSDisabledException', `${arn} is disabled.`);
    if (config?.state === 'pending-deletion')
      throw kinesisError('KMSInvalidStateException', `${arn} is pending deletion.`);
    const known = this.#masters.get(id);
    if (known !== undefined) return known;
    if (config === undefined) throw kinesisError('KMSNotFoundException', `Key '${arn}' does not exist.`);
    const opened = translating(() => openMasterKey(namedKeySetting(config), this.#parts.places), arn);
    const master = translated(opened, arn);
    this.#masters.set(id, master);
    return master;
  };

  #idNamed(name: string): string | undefined {
    if (!name.startsWith('alias/')) return name;
    const alias = name.slice('alias/'.length);
    if (alias === BUILT_IN.alias) return BUILT_IN.id;
    return Object.entries(this.#parts.configs).find(([, { aliases }]) => aliases.includes(alias))?.[0];
  }
}

/** AWS KMS API Reference, Errors of Decrypt and GenerateDataKey → Kinesis API, StartStreamEncryption. */
const KMS_ERRORS: Readonly<Record<string, KinesisErrorName>> = {
  AccessDeniedException: 'KMSAccessDeniedException',
  DisabledException: 'KMSDisabledException',
  KMSInvalidStateException: 'KMSInvalidStateException',
  NotFoundException: 'KMSNotFoundException',
  OptInRequired: 'KMSOptInRequired',
};

function translated(master: MasterKey, arn: string): MasterKey {
  return {
    ...master,
    generate: async (context) => translatingLater(master.generate(context), arn),
    unwrap: async (wrapped, context) => translatingLater(master.unwrap(wrapped, context), arn),
  };
}

function translating<T>(call: () => T, arn: string): T {
  try {
    return call();
  } catch (error) {
    throw keyError(error, arn);
  }
}

async function translatingLater<T>(call: Promise<T>, arn: string): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw keyError(error, arn);
  }
}

/** What is wrong with a key is its operator's to know: clients are told which key and what kind of trouble. */
function keyError(error: unknown, arn: string): unknown {
  if (isTributaryError(error, 'BUSY'))
    return kinesisError('KMSThrottlingException', `${arn}: ${error.message}`);
  if (!isTributaryError(error, 'KEY_INVALID')) return error;
  const type = KMS_ERRORS[String(error.details['kmsError'])] ?? 'KMSInvalidStateException';
  return kinesisError(type, `${arn} cannot be used: ${error.message}`);
}
