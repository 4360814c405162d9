// Wraps data keys with a key of AWS KMS that never leaves it (AWS KMS API Reference: GenerateDataKey, Encrypt, Decrypt;
// JSON 1.1 over POST). The name of the data key is the encryption context: KMS authenticates it and logs it.
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { TributaryError, isTributaryError } from '../stream/errors.ts';
import { KEY_BYTES } from './key-provider.ts';
import { signRequest } from './sigv4/sign.ts';
import type { Credentials } from './sigv4/sign.ts';

export interface KmsSetting {
  readonly keyId: string;
  readonly region: string;
  /** Default: the region's of AWS. */
  readonly endpoint?: string | undefined;
}

export interface Kms {
  generate(context: string): Promise<{ readonly plain: Uint8Array; readonly wrapped: Uint8Array }>;
  wrap(plain: Uint8Array, context: string): Promise<Uint8Array>;
  unwrap(wrapped: Uint8Array, context: string): Promise<Uint8Array>;
}

const ATTEMPTS_MAX = 4;
const FIRST_PAUSE_MS = 200;
const TIMEOUT_MS = 5_000;
/** An answer holds a key and its envelope. */
const ANSWER_BYTES_MAX = 64 * 1024;
/** Errors of KMS that pass; all others will be the same the next time. */
const PASSING_ERRORS = new Set([
  'ThrottlingException',
  'DependencyTimeoutException',
  'KMSInternalException',
  'KeyUnavailableException',
  'RequestExpired',
]);

const blob = z.base64().transform((text): Uint8Array => Buffer.from(text, 'base64'));
const wrappedAnswer = z.object({ CiphertextBlob: blob });
const plainAnswer = z.object({ Plaintext: blob });
const generateAnswer = z.object({ CiphertextBlob: blob, Plaintext: blob });
const errorAnswer = z.object({
  __type: z.string().optional(),
  message: z.string().optional(),
  Message: z.string().optional(),
});

/** Throws KEY_INVALID without credentials. The calls throw KEY_INVALID for what KMS refuses, BUSY when it cannot be reached. */
export function openKms(setting: KmsSetting, env: Readonly<Record<string, string | undefined>>): Kms {
  const credentials = credentialsOf(env);
  const { keyId: KeyId } = setting;
  const call = <S extends z.ZodType>(operation: string, input: object, answer: S): Promise<z.output<S>> =>
    callKms({ setting, credentials, operation, input: { KeyId, ...input } }, answer);
  return {
    generate: async (context) => {
      const input = { KeySpec: 'AES_256', ...named(context) };
      const { Plaintext, CiphertextBlob } = await call('GenerateDataKey', input, generateAnswer);
      return { plain: checked(Plaintext, setting), wrapped: CiphertextBlob };
    },
    wrap: async (plain, context) => {
      const input = { Plaintext: Buffer.from(plain).toString('base64'), ...named(context) };
      return (await call('Encrypt', input, wrappedAnswer)).CiphertextBlob;
    },
    unwrap: async (wrapped, context) => {
      const input = { CiphertextBlob: Buffer.from(wrapped).toString('base64'), ...named(context) };
      return checked((await call('Decrypt', input, plainAnswer)).Plaintext, setting);
    },
  };
}

function named(context: string): object {
  return { EncryptionContext: { 'tributary:key': context } };
}

function checked(key: Uint8Array, setting: KmsSetting): Uint8Array {
  if (key.length === KEY_BYTES) return key;
  throw refused(setting, `it answered a key of ${key.length} bytes instead of ${KEY_BYTES}`);
}

function credentialsOf(env: Readonly<Record<string, string | undefined>>): Credentials {
  const accessKeyId = env['AWS_ACCESS_KEY_ID'];
  const secretAccessKey = env['AWS_SECRET_ACCESS_KEY'];
  const sessionToken = env['AWS_SESSION_TOKEN'];
  if (!accessKeyId || !secretAccessKey) {
    throw new TributaryError(
      'KEY_INVALID',
      'AWS KMS needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment of the program',
    );
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) };
}

interface Call {
  readonly setting: KmsSetting;
  readonly credentials: Credentials;
  readonly operation: string;
  readonly input: object;
}

async function callKms<S extends z.ZodType>(call: Call, schema: S): Promise<z.output<S>> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await callOnce(call, schema);
    } catch (error) {
      if (attempt === ATTEMPTS_MAX || !isTributaryError(error, 'BUSY')) throw error;
      await pause(FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.5 + Math.random() / 2));
    }
  }
}

async function callOnce<S extends z.ZodType>(call: Call, schema: S): Promise<z.output<S>> {
  const { setting, credentials, operation, input } = call;
  const url = new URL(setting.endpoint ?? `https://kms.${setting.region}.amazonaws.com/`).href;
  const body = JSON.stringify(input);
  const headers = {
    'content-type': 'application/x-amz-json-1.1',
    'x-amz-target': `TrentService.${operation}`,
  };
  const signed = signRequest({ method: 'POST', url, headers, body }, credentials, {
    region: setting.region,
    service: 'kms',
    now: Date.now(),
  });
  // Set by the client itself, from the same URL.
  const { host: _host, ...sent } = signed;
  const { status, text } = await post(url, sent, body, setting);
  if (status !== 200) throw failure(call, status, text);
  const answer = schema.safeParse(jsonOf(text));
  if (answer.success) return answer.data;
  throw refused(setting, `its answer to ${operation} is not one of KMS`);
}

async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
  setting: KmsSetting,
): Promise<{ status: number; text: string }> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await fetch(url, { method: 'POST', headers, body, signal, redirect: 'error' });
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of answer.body ?? []) {
      bytes += chunk.length;
      if (bytes > ANSWER_BYTES_MAX)
        throw new RangeError(`the answer is longer than ${ANSWER_BYTES_MAX} bytes`);
      chunks.push(chunk);
    }
    return { status: answer.status, text: Buffer.concat(chunks).toString('utf8') };
  } catch (cause) {
    const reason = cause instanceof Error ? (causeOf(cause) ?? cause.message) : String(cause);
    throw new TributaryError('BUSY', `AWS KMS at ${new URL(url).host} cannot be reached: ${reason}`, {
      cause,
      details: { keyId: setting.keyId },
    });
  }
}

/** What fetch wraps in "fetch failed". */
function causeOf({ cause }: Error): string | null {
  return cause instanceof Error ? cause.message || cause.name : null;
}

function failure({ setting, operation }: Call, status: number, text: string): TributaryError {
  const parsed = errorAnswer.safeParse(jsonOf(text));
  const { __type = `HTTP ${status}`, message, Message } = parsed.success ? parsed.data : {};
  const type = __type.slice(__type.lastIndexOf('#') + 1);
  const said = `${type}${(message ?? Message) ? `: ${message ?? Message}` : ''}`;
  if (status >= 500 || PASSING_ERRORS.has(type)) {
    return new TributaryError('BUSY', `AWS KMS cannot do ${operation} now: ${said}`);
  }
  return refused(setting, `${operation} was refused: ${said}`, type);
}

/** `kmsError`: what KMS calls it. */
function refused({ keyId }: KmsSetting, reason: string, kmsError?: string): TributaryError {
  return new TributaryError(
    'KEY_INVALID',
    `AWS KMS key ${keyId} does not open the keys of this store: ${reason}; check the key's state, its policy for the credentials in use (kms:GenerateDataKey, kms:Encrypt, kms:Decrypt), region and endpoint`,
    { details: { kmsError } },
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON: the schemas refuse it.
    return null;
  }
}
