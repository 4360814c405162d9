// Requests of an AWS client made by hand, for what real clients refuse to send.
import { signRequest } from '../runtime/sigv4/sign.ts';
import type { Credentials } from '../runtime/sigv4/sign.ts';
import { CREDENTIALS } from './processes.ts';

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** The parsed body, `{}` for an empty one. */
  readonly body: Readonly<Record<string, unknown>>;
}

export interface CallOptions {
  readonly credentials?: Credentials;
  readonly now?: number;
  readonly service?: string;
}

const JSON_TYPE = 'application/x-amz-json-1.1';

export function kinesis(
  httpUrl: string,
  operation: string,
  input: object | string | Uint8Array,
  options: CallOptions = {},
): Promise<Answer> {
  const headers = { 'content-type': JSON_TYPE, 'x-amz-target': `Kinesis_20131202.${operation}` };
  const body = typeof input === 'string' || input instanceof Uint8Array ? input : JSON.stringify(input);
  return call(httpUrl, 'POST', '/', { headers, body, service: 'kinesis', ...options });
}

/** The reply's bytes as they come, of an operation whose reply is a stream. */
export async function kinesisStream(
  httpUrl: string,
  operation: string,
  input: object,
): Promise<AsyncIterable<Uint8Array>> {
  const headers = { 'content-type': JSON_TYPE, 'x-amz-target': `Kinesis_20131202.${operation}` };
  const request = { headers, body: JSON.stringify(input), service: 'kinesis' };
  const response = await send(new URL('/', httpUrl).href, 'POST', request);
  if (response.status === 200 && response.body !== null) return response.body;
  throw new Error(`${operation} was answered with ${response.status}: ${await response.text()}`);
}

export function fleet(
  httpUrl: string,
  method: string,
  path: string,
  input?: object | string,
  options: CallOptions = {},
): Promise<Answer> {
  const body = input === undefined || typeof input === 'string' ? input : JSON.stringify(input);
  return call(httpUrl, method, path, {
    headers: {},
    service: 'tributary',
    ...(body === undefined ? {} : { body }),
    ...options,
  });
}

interface SignedCall extends CallOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly service: string;
}

async function call(httpUrl: string, method: string, path: string, request: SignedCall): Promise<Answer> {
  const response = await send(new URL(path, httpUrl).href, method, request);
  const text = await response.text();
  return { status: response.status, text, body: parsed(text) };
}

function send(url: string, method: string, request: SignedCall): Promise<Response> {
  const { host: _host, ...headers } = signRequest(
    { method, url, headers: request.headers, body: request.body ?? '' },
    request.credentials ?? CREDENTIALS,
    { region: 'us-east-1', service: request.service, now: request.now ?? Date.now() },
  );
  const body = request.body === undefined ? {} : { body: Buffer.from(request.body) };
  return fetch(url, { method, headers, ...body });
}

function parsed(text: string): Record<string, unknown> {
  try {
    return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>);
  } catch {
    // Some refusals are XML.
    return {};
  }
}
