// Signed requests to a server: the fleet API and Kinesis. Every failure becomes a CliError with its exit code.
import type { z } from 'zod';
import { signRequest } from '../runtime/sigv4/sign.ts';
import type { Credentials } from '../runtime/sigv4/sign.ts';
import { CliError, EXIT, usageError } from './cli-error.ts';

const DEFAULT_SERVER = 'http://127.0.0.1:4567';
const TIMEOUT_MS = 30_000;
const REGION = 'us-east-1';
const TARGET_PREFIX = 'Kinesis_20131202';

export interface ServerFlag {
  readonly server?: string;
}

export interface ServerApi {
  readonly url: string;
  /** Throws CliError. */
  fleet(method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object): Promise<unknown>;
  /** Throws CliError whose code is the exception's name. */
  kinesis(operation: string, input: object): Promise<unknown>;
}

/** Throws CliError when the URL is none or the credentials are missing. */
export function openServerApi(flags: ServerFlag, env: NodeJS.ProcessEnv = process.env): ServerApi {
  const url = serverUrl(flags.server ?? env['TRIBUTARY_SERVER'] ?? DEFAULT_SERVER);
  const credentials = credentialsOf(env);
  const call = (request: Call): Promise<unknown> => send(url, credentials, request);
  return {
    url,
    fleet: (method, path, body) =>
      call({
        service: 'tributary',
        method,
        path,
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
        body: body === undefined ? '' : JSON.stringify(body),
      }),
    kinesis: (operation, input) =>
      call({
        service: 'kinesis',
        method: 'POST',
        path: '/',
        headers: {
          'content-type': 'application/x-amz-json-1.1',
          'x-amz-target': `${TARGET_PREFIX}.${operation}`,
        },
        body: JSON.stringify(input),
      }),
  };
}

interface Call {
  readonly service: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

async function send(url: string, credentials: Credentials, call: Call): Promise<unknown> {
  const target = new URL(call.path, url).href;
  const { host: _host, ...headers } = signRequest(
    { method: call.method, url: target, headers: call.headers, body: call.body },
    credentials,
    { region: REGION, service: call.service, now: Date.now() },
  );
  const { status, requestId, text } = await exchange(url, target, {
    method: call.method,
    headers,
    ...(call.method === 'GET' ? {} : { body: call.body }),
  });
  const document = text === '' ? {} : parsed(text);
  // Every answer of these APIs has one, an empty one too.
  if (requestId === null) throw noTributary(url, `status ${status}`);
  if (status === 200 && document !== undefined) return document;
  throw refused(status, document, requestId, url);
}

async function exchange(
  url: string,
  target: string,
  init: RequestInit,
): Promise<{ status: number; requestId: string | null; text: string }> {
  try {
    const response = await fetch(target, {
      ...init,
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const requestId = response.headers.get('x-amzn-requestid');
    return { status: response.status, requestId, text: await response.text() };
  } catch (error) {
    throw unreachable(url, error);
  }
}

function unreachable(url: string, error: unknown): CliError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CliError({
    exit: EXIT.unreachable,
    code: 'UNREACHABLE',
    message: `the server at ${url} cannot be reached: ${reason}`,
    hint: 'Is it running? Another address: --server URL or TRIBUTARY_SERVER',
  });
}

function refused(status: number, document: unknown, requestId: string, url: string): CliError {
  const { code, message } = errorOf(document);
  if (code === undefined) return noTributary(url, `status ${status}`);
  const exit = exitOf(code);
  // The lines behind the first are for whoever debugs a signature.
  const text = exit === EXIT.auth ? (message.split('\n')[0] ?? message) : message;
  return new CliError({
    exit,
    code,
    message: text === '' ? code : text,
    ...hintFor(code, exit),
    requestId,
  });
}

/** The answer, if it is what a Tributary server says. Throws CliError. */
export function answerOf<S extends z.ZodType>(schema: S, answer: unknown, { url }: ServerApi): z.output<S> {
  const result = schema.safeParse(answer);
  if (result.success) return result.data;
  throw noTributary(url, 'it answered something else than was asked for');
}

function noTributary(url: string, reason: string): CliError {
  return new CliError({
    exit: EXIT.failed,
    code: 'NO_TRIBUTARY',
    message: `what answers at ${url} is no Tributary server (${reason})`,
    hint: 'Check --server and TRIBUTARY_SERVER',
  });
}

/** `{"error":{code,message}}` of our own APIs, `{"__type","message"}` of AWS. */
function errorOf(document: unknown): { code?: string; message: string } {
  const body = record(document);
  const inner = record(body['error']);
  const code = inner['code'] ?? body['__type'];
  const message = inner['message'] ?? body['message'] ?? body['Message'];
  return {
    ...(typeof code === 'string' ? { code } : {}),
    message: typeof message === 'string' ? message : '',
  };
}

function hintFor(code: string, exit: number): { hint?: string } {
  if (DENIED.test(code))
    return { hint: 'Another policy is needed; who may do what: tributary access check USER ACTION RESOURCE' };
  if (exit !== EXIT.auth) return {};
  return { hint: 'Check TRIBUTARY_ACCESS_KEY_ID and TRIBUTARY_SECRET_ACCESS_KEY' };
}

const DENIED = /^ACCESS_DENIED$|AccessDenied/;

function exitOf(code: string): number {
  if (DENIED.test(code) || /Signature|Token|UnrecognizedClient|SIGNATURE_INVALID|FORBIDDEN/.test(code))
    return EXIT.auth;
  if (code === 'ResourceNotFoundException' || code === 'NOT_FOUND') return EXIT.notFound;
  if (/^(Validation|InvalidArgument|Serialization)Exception$|^INVALID_REQUEST$|^POLICY_MALFORMED$/.test(code))
    return EXIT.usage;
  return EXIT.failed;
}

function serverUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url.origin;
  throw usageError(`--server must be a URL like ${DEFAULT_SERVER}, not ${text.slice(0, 100)}`);
}

function credentialsOf(env: NodeJS.ProcessEnv): Credentials {
  const accessKeyId = env['TRIBUTARY_ACCESS_KEY_ID'];
  const secretAccessKey = env['TRIBUTARY_SECRET_ACCESS_KEY'];
  const sessionToken = env['TRIBUTARY_SESSION_TOKEN'];
  if (accessKeyId && secretAccessKey)
    return { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) };
  throw new CliError({
    exit: EXIT.auth,
    code: 'CREDENTIALS_MISSING',
    message: 'TRIBUTARY_ACCESS_KEY_ID and TRIBUTARY_SECRET_ACCESS_KEY are not set',
    hint: 'A new server leaves its first pair in its data folder: set -a; . DATA/first-access-key',
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not ours: the caller names the status.
    return undefined;
  }
}

export function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
