// Whose service it is, and how a request names a stream of it.

export interface Account {
  /** Twelve digits. */
  readonly accountId: string;
  readonly region: string;
}

/** The part of an input that names a stream. */
export interface StreamInput {
  readonly StreamName?: string;
  readonly StreamARN?: string;
}
