// What the server remembers of a registered consumer: one Meta value. It names its stream by id: a stream deleted and
// made again has none of the former one's consumers.

export interface ConsumerRow {
  readonly streamId: string;
  readonly name: string;
  readonly status: 'CREATING' | 'ACTIVE' | 'DELETING';
  /** The second it lies in is part of the ARN. */
  readonly createdAtMs: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly policy?: string | undefined;
}

const VERSION = 1;

export function encodeConsumerRow(row: ConsumerRow): Uint8Array {
  return Buffer.from(JSON.stringify({ version: VERSION, ...row }));
}

/** Reads what encodeConsumerRow wrote; rows come from our own disk only. */
export function decodeConsumerRow(value: Uint8Array): ConsumerRow {
  const { version: _version, ...row } = JSON.parse(Buffer.from(value).toString('utf8')) as ConsumerRow & {
    readonly version: number;
  };
  return row;
}
