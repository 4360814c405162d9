// What the server remembers of a user: one sealed Meta value, so that every decision about a user is one key.

export interface UserKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly createdAtMs: number;
  readonly isActive: boolean;
}

export interface UserRow {
  /** `AIDA…`; a user created again under the same name is another one. */
  readonly id: string;
  readonly name: string;
  readonly createdAtMs: number;
  readonly keys: readonly UserKey[];
  /** The documents as they were given, by name. */
  readonly policies: Readonly<Record<string, string>>;
}

const VERSION = 1;

export function encodeUserRow(row: UserRow): Uint8Array {
  return Buffer.from(JSON.stringify({ version: VERSION, ...row }));
}

/** Reads what encodeUserRow wrote; rows come from our own disk only. */
export function decodeUserRow(value: Uint8Array): UserRow {
  const { version: _version, ...row } = JSON.parse(Buffer.from(value).toString('utf8')) as UserRow & {
    version: number;
  };
  return row;
}
