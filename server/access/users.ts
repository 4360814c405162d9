// The users of the account, their access keys and policies: in memory for every request, sealed in Meta for every start.
import type { Clock, Meta } from '../../stream/ports.ts';
import type { Sealer } from '../../runtime/key-provider.ts';
import { Turns } from '../fleet/turns.ts';
import { ApiProblem } from '../wire/api-problem.ts';
import { newId, newSecret } from './key-ids.ts';
import { parsePolicy } from './policy/parse-policy.ts';
import { userArn } from './principal.ts';
import type { Principal } from './principal.ts';
import { decodeUserRow, encodeUserRow } from './user-row.ts';
import type { UserKey, UserRow } from './user-row.ts';

/** Rows of the map that hold them. */
export const USERS_PREFIX = 'access-user/';
/** Quotas of IAM: users of an account, access keys of a user, policies of a user. */
const USERS_MAX = 5_000;
const KEYS_MAX = 2;
const POLICIES_MAX = 10;
const USER_NAME = /^[\w+=,.@-]{1,64}$/;
const POLICY_NAME = /^[\w+=,.@-]{1,128}$/;

export interface UsersOptions {
  readonly accountId: string;
  /** For tests. */
  readonly usersMax?: number;
}

interface User {
  readonly row: UserRow;
  readonly principal: Principal;
}

export class Users {
  readonly #meta: Meta;
  readonly #sealer: Sealer;
  readonly #clock: Clock;
  readonly #options: UsersOptions;
  readonly #users = new Map<string, User>();
  readonly #byKey = new Map<string, { readonly key: UserKey; readonly user: User }>();
  readonly #turns = new Turns();

  private constructor(meta: Meta, sealer: Sealer, clock: Clock, options: UsersOptions) {
    this.#meta = meta;
    this.#sealer = sealer;
    this.#clock = clock;
    this.#options = options;
  }

  /** Throws KEY_INVALID when the rows were sealed with another key. */
  static async open(meta: Meta, sealer: Sealer, clock: Clock, options: UsersOptions): Promise<Users> {
    const users = new Users(meta, sealer, clock, options);
    for await (const { key, value } of meta.list(USERS_PREFIX))
      users.#remember(decodeUserRow(sealer.open(value, key)));
    return users;
  }

  /** In order of their names. */
  list(): UserRow[] {
    return [...this.#users.values()]
      .map(({ row }) => row)
      .toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  }

  /** Throws ApiProblem: there is none. */
  get(name: string): UserRow {
    return this.#user(name).row;
  }

  /** Throws ApiProblem: there is none. */
  principalOf(name: string): Principal {
    return this.#user(name).principal;
  }

  /** Of an active key; undefined: there is none. */
  byKey(
    accessKeyId: string,
  ): { readonly secretAccessKey: string; readonly principal: Principal } | undefined {
    const found = this.#byKey.get(accessKeyId);
    if (found === undefined || !found.key.isActive) return undefined;
    return { secretAccessKey: found.key.secretAccessKey, principal: found.user.principal };
  }

  create(name: string): Promise<UserRow> {
    return this.#turns.run(async () => {
      if (!USER_NAME.test(name)) throw badName('a user', 64);
      if (this.#users.has(name)) throw conflict(`there is a user ${name} already`);
      const max = this.#options.usersMax ?? USERS_MAX;
      if (this.#users.size >= max) throw limit(`there are ${max} users, as many as an account may have`);
      return this.#store({
        id: newId('AIDA'),
        name,
        createdAtMs: this.#clock.wallMs(),
        keys: [],
        policies: {},
      });
    });
  }

  /** With its keys and policies. */
  remove(name: string): Promise<void> {
    return this.#turns.run(async () => {
      const { row } = this.#user(name);
      await this.#meta.del(USERS_PREFIX + name, 'any');
      this.#forget(row);
    });
  }

  /** `replaces` goes in the same commit: no moment has both or neither. The secret is shown this once. */
  createKey(name: string, replaces?: string): Promise<UserKey> {
    return this.#turns.run(async () => {
      const { row } = this.#user(name);
      if (replaces !== undefined) keyOf(row, replaces);
      const kept = row.keys.filter(({ accessKeyId }) => accessKeyId !== replaces);
      if (kept.length >= KEYS_MAX) throw limit(`user ${name} has ${KEYS_MAX} keys; delete one first`);
      const key = {
        accessKeyId: newId('AKIA'),
        secretAccessKey: newSecret(),
        createdAtMs: this.#clock.wallMs(),
        isActive: true,
      };
      await this.#store({ ...row, keys: [...kept, key] });
      return key;
    });
  }

  setKeyActive(name: string, accessKeyId: string, isActive: boolean): Promise<void> {
    return this.#turns.run(async () => {
      const { row } = this.#user(name);
      const key = keyOf(row, accessKeyId);
      await this.#store({ ...row, keys: row.keys.map((one) => (one === key ? { ...key, isActive } : one)) });
    });
  }

  deleteKey(name: string, accessKeyId: string): Promise<void> {
    return this.#turns.run(async () => {
      const { row } = this.#user(name);
      const key = keyOf(row, accessKeyId);
      await this.#store({ ...row, keys: row.keys.filter((one) => one !== key) });
    });
  }

  /** Throws PolicyError when the document cannot be read. */
  putPolicy(name: string, policyName: string, document: string): Promise<void> {
    return this.#turns.run(async () => {
      const { row } = this.#user(name);
      if (!POLICY_NAME.test(policyName)) throw badName('a policy', 128);
      parsePolicy(document, 'identity');
      const policies = { ...row.policies, [policyName]: document };
      if (Object.keys(policies).length > POLICIES_MAX)
        throw limit(`user ${name} has ${POLICIES_MAX} policies; put several statements into one`);
      await this.#store({ ...row, policies });
    });
  }

  deletePolicy(name: string, policyName: string): Promise<void> {
    return this.#turns.run(async () => {
      const { row } = this.#user(name);
      const { [policyName]: gone, ...policies } = row.policies;
      if (gone === undefined || !Object.hasOwn(row.policies, policyName))
        throw missing(`user ${name} has no policy ${policyName}`);
      await this.#store({ ...row, policies });
    });
  }

  #user(name: string): User {
    const user = this.#users.get(name);
    if (user !== undefined) return user;
    throw missing(`there is no user ${name}`);
  }

  /** Durable first: a key that was shown works after a restart, one that was deleted does not. */
  async #store(row: UserRow): Promise<UserRow> {
    const key = USERS_PREFIX + row.name;
    await this.#meta.put(key, this.#sealer.seal(encodeUserRow(row), key), 'any');
    const known = this.#users.get(row.name);
    if (known !== undefined) this.#forget(known.row);
    this.#remember(row);
    return row;
  }

  #remember(row: UserRow): void {
    const { accountId } = this.#options;
    const principal: Principal = {
      arn: userArn(accountId, row.name),
      accountId,
      isRoot: false,
      userId: row.id,
      userName: row.name,
      policies: Object.values(row.policies).map((text) => parsePolicy(text, 'identity')),
      session: null,
    };
    const user = { row, principal };
    this.#users.set(row.name, user);
    for (const key of row.keys) this.#byKey.set(key.accessKeyId, { key, user });
  }

  #forget(row: UserRow): void {
    this.#users.delete(row.name);
    for (const { accessKeyId } of row.keys) this.#byKey.delete(accessKeyId);
  }
}

function keyOf(row: UserRow, accessKeyId: string): UserKey {
  const key = row.keys.find((one) => one.accessKeyId === accessKeyId);
  if (key !== undefined) return key;
  throw missing(`user ${row.name} has no key ${accessKeyId}`);
}

function missing(message: string): ApiProblem {
  return new ApiProblem(404, 'NOT_FOUND', message);
}

function conflict(message: string): ApiProblem {
  return new ApiProblem(409, 'ALREADY_EXISTS', message);
}

function limit(message: string): ApiProblem {
  return new ApiProblem(409, 'LIMIT_EXCEEDED', message);
}

function badName(what: string, charsMax: number): ApiProblem {
  const message = `the name of ${what} is 1..${charsMax} letters, digits or _ + = , . @ -`;
  return new ApiProblem(400, 'INVALID_REQUEST', message);
}
