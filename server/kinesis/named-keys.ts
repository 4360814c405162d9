// The keys that streams may be encrypted with, by every name that requests give them: id, ARN, alias or alias ARN. They are
// the operator's (configuration `keys`) and one of the server's own, and stand for keys of AWS KMS to its clients.
import { localMasterKey, openMasterKey } from '../../runtime/master-key.ts';
import type { KeyPlaces, MasterKey } from '../../runtime/master-key.ts';
import { namedKeySetting } from '../../runtime/named-key-config.ts';
import type { NamedKeyConfig } from '../../runtime/named-key-config.ts';
import { isTributaryError } from '../../stream/errors.ts';
import type { TributaryError } from '../../stream/errors.ts';
import type { Log } from '../../stream/ports.ts';
import type { Account } from './account.ts';
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
  readonly log: Log;
}

export class NamedKeys {
  readonly #parts: NamedKeysParts;
  readonly #masters = new Map<string, MasterKey>();
  /** The trouble with each key that the log has last been told. */
  readonly #told = new Map<string, string>();

  constructor(parts: NamedKeysParts) {
    this.#parts = parts;
    this.#masters.set(BUILT_IN.id, localMasterKey(parts.builtIn, { provider: 'file' }));
  }

  /** The id of the key that a KeyId names. Throws KMSNotFoundException. */
  idOf(keyId: string): string {
    const id = this.find(keyId);
    if (id !== undefined) return id;
    throw kinesisError(
      'KMSNotFoundException',
      `Key '${keyId}' does not exist; keys are named in the server's configuration, under keys.`,
    );
  }

  /** The same, undefined when there is no such key. */
  find(keyId: string): string | undefined {
    const { region, accountId, name = '' } = NAME.exec(keyId)?.groups ?? {};
    const { account, configs } = this.#parts;
    const isHere =
      (region ?? account.region) === account.region && (accountId ?? account.accountId) === account.accountId;
    const id = isHere ? this.#idNamed(name) : undefined;
    return id !== undefined && (id === BUILT_IN.id || Object.hasOwn(configs, id)) ? id : undefined;
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
    const master = this.#translated(
      this.#saying(id, () => openMasterKey(namedKeySetting(config), this.#parts.places)),
      id,
    );
    this.#masters.set(id, master);
    return master;
  };

  #translated(master: MasterKey, id: string): MasterKey {
    const said = async <T>(call: Promise<T>): Promise<T> => {
      try {
        return await call;
      } catch (error) {
        throw this.#keyError(error, id);
      }
    };
    return {
      ...master,
      generate: (context) => said(master.generate(context)),
      unwrap: (wrapped, context) => said(master.unwrap(wrapped, context)),
    };
  }

  #saying<T>(id: string, call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw this.#keyError(error, id);
    }
  }

  /** Clients are told which key and what kind of trouble; paths and endpoints are for the operator alone. */
  #keyError(error: unknown, id: string): unknown {
    if (!isTributaryError(error)) return error;
    const type = error.code === 'BUSY' ? 'KMSThrottlingException' : kmsErrorOf(error);
    if (this.#told.get(id) !== error.message) {
      this.#told.set(id, error.message);
      this.#parts.log.warn('a key of streams cannot be used', { key: id, reason: error.message });
    }
    return kinesisError(type, `${this.arnOf(id)} cannot be used now: the server's log says why.`);
  }

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

function kmsErrorOf({ details }: TributaryError): KinesisErrorName {
  return KMS_ERRORS[String(details['kmsError'])] ?? 'KMSInvalidStateException';
}
