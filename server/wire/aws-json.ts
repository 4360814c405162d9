// The AWS JSON protocol: from one HTTP request to one operation and back. The order of checks and every text
// are those that AWS answers with.
import { randomBytes, randomUUID } from 'node:crypto';
import { isUtf8 } from 'node:buffer';
import { headersFromRaw } from '../../runtime/sigv4/signable-request.ts';
import { SigV4Error } from '../../runtime/sigv4/sigv4-error.ts';
import type { SignableRequest } from '../../runtime/sigv4/signable-request.ts';
import { AssertionFailure } from '../../stream/errors.ts';
import type { Log } from '../../stream/ports.ts';
import type { Caller, Verify } from '../access/caller.ts';
import { readBody } from './body.ts';
import type { WireRequest, WireResponse } from './listener.ts';
import { originOf } from './origin.ts';
import { header, sendReply } from './reply.ts';
import type { Reply } from './reply.ts';
import { JSON_SCALARS } from './scalar-types.ts';
import {
  clientError,
  errorBody,
  internalFailure,
  serializationError,
  ServiceError,
} from './service-error.ts';
import { validateShape } from './shape-validator.ts';
import type { ServiceModel, ValidatedInput } from './shape.ts';

/** A reply that the operation has written itself. */
export class JsonText {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Undefined: an empty body of length 0. */
export type Operation = (input: ValidatedInput, caller: Caller) => Promise<object | undefined>;

/** Writes its reply itself, after the ordinary checks. What it throws before the first byte is answered as usual. */
export type StreamingOperation = (input: ValidatedInput, caller: Caller, reply: StreamReply) => Promise<void>;

export interface StreamReply {
  readonly response: WireResponse;
  /** The headers of every reply; the operation adds its own Content-Type. */
  readonly headers: Readonly<Record<string, string>>;
}

export type OperationEntry =
  | { readonly input: string; readonly handle: Operation }
  | { readonly input: string; readonly stream: StreamingOperation };

export interface JsonService {
  readonly model: Pick<ServiceModel, 'targetPrefix' | 'signingName' | 'shapes'>;
  readonly operations: Readonly<Record<string, OperationEntry>>;
}

export interface AwsJsonOptions {
  readonly services: readonly JsonService[];
  readonly verify: Verify;
  readonly log: Log;
  /** What an operation throws that is no ServiceError; undefined: InternalFailure. */
  readonly mapError?: (error: unknown) => ServiceError | undefined;
  /** Default `*`. */
  readonly allowOrigin?: string;
  /** For tests. */
  readonly bodyBytesMax?: number;
}

const JSON_1_1 = 'application/x-amz-json-1.1';
const PLAIN_JSON = 'application/json';
const EXPOSED_HEADERS =
  'x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date';
const PREFLIGHT_SECONDS = '172800';
const ACCESS_DENIED_XML =
  '<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be authorized</Message>\n</AccessDeniedException>\n';

/** The handler for `openListener`. It answers every request, whatever happens. */
export function awsJsonHandler(
  options: AwsJsonOptions,
): (request: WireRequest, response: WireResponse) => void {
  const targets = targetTable(options.services);
  return (request, response) => {
    // `serve` catches everything but broken invariants, which are meant to end the process.
    void serve({ options, targets, request, response, headers: replyHeaders(options, request) });
  };
}

interface Target {
  readonly service: JsonService;
  readonly name: string;
  readonly entry: OperationEntry;
}

interface Exchange {
  readonly options: AwsJsonOptions;
  readonly targets: ReadonlyMap<string, Target>;
  readonly request: WireRequest;
  readonly response: WireResponse;
  readonly headers: Readonly<Record<string, string>>;
}

function targetTable(services: readonly JsonService[]): ReadonlyMap<string, Target> {
  const targets = new Map<string, Target>();
  for (const service of services) {
    for (const [name, entry] of Object.entries(service.operations)) {
      targets.set(`${service.model.targetPrefix}.${name}`, { service, name, entry });
    }
  }
  return targets;
}

async function serve(exchange: Exchange): Promise<void> {
  try {
    const reply = await answer(exchange);
    if (reply !== null) send(exchange, reply);
  } catch (error) {
    if (error instanceof AssertionFailure) throw error;
    fail(exchange, error);
  }
}

function fail(exchange: Exchange, error: unknown): void {
  const { response, options } = exchange;
  const known = serviceErrorOf(options, error);
  if (known === undefined) logUnknown(exchange, error);
  if (response.headersSent) response.destroy();
  else send(exchange, errorReply(exchange.request, known ?? internalFailure()));
}

function serviceErrorOf(options: AwsJsonOptions, error: unknown): ServiceError | undefined {
  if (error instanceof ServiceError) return error;
  if (error instanceof SigV4Error) return clientError(error.type, error.message);
  return options.mapError?.(error);
}

/** Never the body nor the authorization. */
function logUnknown(exchange: Exchange, error: unknown): void {
  exchange.options.log.error('request failed', {
    requestId: exchange.headers['x-amzn-RequestId'],
    target: header(exchange.request, 'x-amz-target'),
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
}

/** Null: nothing to send any more. */
async function answer(exchange: Exchange): Promise<Reply | null> {
  const { request, options } = exchange;
  const read = await readBody(request, options.bodyBytesMax);
  if (read.kind === 'aborted') return null;
  if (read.kind === 'tooLarge') return tooLarge(request);
  if (request.method === 'OPTIONS') return preflight(request);
  if (request.method !== 'POST') return { status: 403, body: ACCESS_DENIED_XML };
  const target = exchange.targets.get(header(request, 'x-amz-target') ?? '');
  if (read.body.length === 0) {
    return errorReply(request, target === undefined ? unknownOperation() : serializationError());
  }
  const contentType = mediaType(request);
  if (contentType !== JSON_1_1 && contentType !== PLAIN_JSON) return unknownContentType(request);
  const parsed = parseObject(read.body);
  if (contentType === PLAIN_JSON) return plainJson(parsed);
  if (parsed === undefined) return errorReply(request, serializationError());
  if (target === undefined) return errorReply(request, unknownOperation());
  return operate(exchange, target, parsed, read.body);
}

async function operate(
  exchange: Exchange,
  target: Target,
  parsed: object,
  body: Uint8Array,
): Promise<Reply | null> {
  const { request, response, headers } = exchange;
  const { model } = target.service;
  const origin = originOf(request, headers['x-amzn-RequestId'] ?? '');
  const caller = await exchange.options.verify(signable(request), body, model.signingName, origin);
  const input = validateShape(model.shapes, target.entry.input, parsed, JSON_SCALARS);
  if ('stream' in target.entry) {
    await target.entry.stream(input, caller, { response, headers });
    return null;
  }
  const output = await target.entry.handle(input, caller);
  return {
    status: 200,
    contentType: requestContentType(request),
    body: textOf(output),
  };
}

function textOf(output: object | undefined): string {
  if (output instanceof JsonText) return output.text;
  return output === undefined ? '' : JSON.stringify(output);
}

function signable(request: WireRequest): SignableRequest {
  return {
    method: request.method ?? '',
    url: request.url ?? '/',
    headers: headersFromRaw(request.rawHeaders),
  };
}

/** Undefined: no JSON object, or bytes that are no UTF-8. */
function parseObject(body: Uint8Array): object | undefined {
  if (!isUtf8(body)) return undefined;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function unknownOperation(): ServiceError {
  return clientError('UnknownOperationException');
}

function errorReply(request: WireRequest, error: ServiceError): Reply {
  const contentType = mediaType(request) === JSON_1_1 ? requestContentType(request) : JSON_1_1;
  return {
    status: error.status,
    contentType,
    body: errorBody(error),
    headers: { 'x-amzn-ErrorType': error.type },
  };
}

function tooLarge(request: WireRequest): Reply {
  // The rest of the body may still be coming. HTTP/2 has no such header.
  const headers: Record<string, string> = request.httpVersionMajor === 1 ? { Connection: 'close' } : {};
  return { status: 413, body: '', headers };
}

function unknownContentType(request: WireRequest): Reply {
  if (header(request, 'x-amz-target') === undefined) return { status: 403, body: ACCESS_DENIED_XML };
  return { status: 404, body: '<UnknownOperationException/>\n' };
}

function plainJson(parsed: object | undefined): Reply {
  const type = parsed === undefined ? 'SerializationException' : 'UnknownOperationException';
  return {
    status: parsed === undefined ? 400 : 404,
    contentType: PLAIN_JSON,
    body: JSON.stringify({ Output: { __type: `com.amazon.coral.service#${type}` }, Version: '1.0' }),
  };
}

function preflight(request: WireRequest): Reply {
  const headers: Record<string, string> = { 'Access-Control-Max-Age': PREFLIGHT_SECONDS };
  const method = header(request, 'access-control-request-method');
  const names = header(request, 'access-control-request-headers');
  if (method !== undefined) headers['Access-Control-Allow-Methods'] = method;
  if (names !== undefined) headers['Access-Control-Allow-Headers'] = names;
  return { status: 200, body: '', headers };
}

function replyHeaders(options: AwsJsonOptions, request: WireRequest): Record<string, string> {
  const headers: Record<string, string> = {
    'x-amzn-RequestId': randomUUID(),
    'x-amz-id-2': randomBytes(72).toString('base64'),
  };
  if (header(request, 'origin') !== undefined) {
    headers['Access-Control-Allow-Origin'] = options.allowOrigin ?? '*';
    headers['Access-Control-Expose-Headers'] = EXPOSED_HEADERS;
  }
  return headers;
}

function send(exchange: Exchange, reply: Reply): void {
  sendReply(exchange.response, reply, exchange.headers);
}

function mediaType(request: WireRequest): string {
  return requestContentType(request).split(';')[0]?.trim().toLowerCase() ?? '';
}

function requestContentType(request: WireRequest): string {
  return header(request, 'content-type') ?? '';
}
