// Operating errors: one class, one table of stable codes. A broken invariant of ours is an AssertionFailure instead.

/** Who can act on it: `caller` changes the request, `environment` needs an operator or time, `internal` is our bug. */
export type Fault = 'caller' | 'environment' | 'internal';

export const ERROR_CODES = {
  BLOCK_MALFORMED: { fault: 'caller', retryable: false },
  BLOCK_CHECKSUM: { fault: 'caller', retryable: false },
  BLOCK_TOO_LARGE: { fault: 'caller', retryable: false },
  CODEC_UNKNOWN: { fault: 'caller', retryable: false },
  RECORD_TOO_LARGE: { fault: 'caller', retryable: false },
  SEQUENCE_NUMBER_INVALID: { fault: 'caller', retryable: false },
  HASH_KEY_INVALID: { fault: 'caller', retryable: false },
  SHARD_NOT_FOUND: { fault: 'caller', retryable: false },
  SHARD_CLOSED: { fault: 'caller', retryable: true },
  SHARD_RANGE_INVALID: { fault: 'caller', retryable: false },
  LANE_GAP: { fault: 'caller', retryable: false },
  LANE_OVERLAP: { fault: 'caller', retryable: false },
  LANE_DIVERGED: { fault: 'caller', retryable: false },
  META_CONFLICT: { fault: 'caller', retryable: true },
  META_VALUE_TOO_LARGE: { fault: 'caller', retryable: false },
  WATCH_EXPIRED: { fault: 'caller', retryable: true },
  BUSY: { fault: 'environment', retryable: true },
  STORAGE_FULL: { fault: 'environment', retryable: true },
  STORAGE_FAILED: { fault: 'environment', retryable: false },
  STORAGE_CLOSED: { fault: 'environment', retryable: false },
  CONFIG_INVALID: { fault: 'caller', retryable: false },
  KEY_INVALID: { fault: 'environment', retryable: false },
  SIGNATURE_INVALID: { fault: 'caller', retryable: false },
  PROTOCOL_ERROR: { fault: 'caller', retryable: false },
  GATEWAY_UNKNOWN: { fault: 'caller', retryable: false },
  GATEWAY_SIGNATURE: { fault: 'caller', retryable: false },
  GATEWAY_CLONED: { fault: 'caller', retryable: true },
  SERVER_UNTRUSTED: { fault: 'environment', retryable: false },
  STREAM_NOT_ALLOWED: { fault: 'caller', retryable: false },
  ENROLMENT_CODE_INVALID: { fault: 'caller', retryable: false },
  ENROLMENT_CODE_USED: { fault: 'caller', retryable: false },
  ENROLMENT_CODE_EXPIRED: { fault: 'caller', retryable: false },
} as const satisfies Record<string, { fault: Fault; retryable: boolean }>;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorOptions {
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** An operating condition with a stable code. `message` says what is wrong and how to mend it. */
export class TributaryError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'TributaryError';
    this.code = code;
    this.details = options.details ?? {};
  }

  get retryable(): boolean {
    return ERROR_CODES[this.code].retryable;
  }

  get fault(): Fault {
    return ERROR_CODES[this.code].fault;
  }
}

export function isTributaryError(error: unknown, code?: ErrorCode): error is TributaryError {
  return error instanceof TributaryError && (code === undefined || error.code === code);
}

/** Our own bug: never caught, ends the process, the supervisor starts it again. */
export class AssertionFailure extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'AssertionFailure';
  }
}

export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AssertionFailure(message);
}
