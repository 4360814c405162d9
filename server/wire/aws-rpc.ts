// The protocol of AWS services whose operation stands in X-Amz-Target: from one HTTP request to one operation and back, in
// JSON or CBOR. The order of checks and every text are those that AWS answers with.
import { headersFromRaw } from '../../runtime/sigv4/signable-request.ts';
import { SigV4Error } from '../../runtime/sigv4/sigv4-error.ts';
import type { SignableRequest } from '../../runtime/sigv4/signable-request.ts';
import { AssertionFailure } from '../../stream/errors.ts';
import type { Log } from '../../stream/ports.ts';
import type { Verify } from '../access/caller.ts';
import type { BodyCodec, DocumentShape } from './body-codec.ts';
import { BodyReader } from './body.ts';
import { CBOR_CODEC } from './cbor-codec.ts';
import { JSON_CODEC } from './json-codec.ts';
import { BODY_LIMITS } from './limits.ts';
import type { BodyLimits } from './limits.ts';
import type { WireRequest, WireResponse } from './listener.ts';
import { originOf } from './origin.ts';
import type { AwsService, OperationEntry } from './operation.ts';
import { extendedRequestId, requestId } from './request-id.ts';
import { header, sendReply } from './reply.ts';
import type { Reply } from './reply.ts';
import {
  clientError,
  errorDocument,
  internalFailure,
  serializationError,
  ServiceError,
} from './service-error.ts';
import { validateShape } from './shape-validator.ts';
import {
  PLAIN_JSON,
  busy,
  plainJson,
  preflight,
  tooLarge,
  unknownContentType,
  wrongMethod,
} from './unrouted.ts';

export interface AwsRpcOptions {
  readonly services: readonly AwsService[];
  readonly verify: Verify;
  readonly log: Log;
  /** What an operation throws that is no ServiceError; undefined: InternalFailure. */
  readonly mapError?: (error: unknown) => ServiceError | undefined;
  /** Default `*`. */
  readonly allowOrigin?: string;
  /** For tests. */
  readonly bodyLimits?: Partial<BodyLimits>;
}

const CODECS: ReadonlyMap<string, BodyCodec> = new Map(
  [JSON_CODEC, CBOR_CODEC].map((codec) => [codec.mediaType, codec]),
);
const EXPOSED_HEADERS =
  'x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date';
/** The handler for `openListener`. It answers every request, whatever happens. */
export function awsRpcHandler(
  options: AwsRpcOptions,
): (request: WireRequest, response: WireResponse) => void {
  const targets = targetTable(options.services);
  const bodies = new BodyReader({ ...BODY_LIMITS, ...options.bodyLimits });
  return (request, response) => {
    // `serve` catches everything but broken invariants, which are meant to end the process.
    void serve({ options, targets, bodies, request, response, headers: replyHeaders(options, request) });
  };
}

interface Target {
  readonly service: AwsService;
  readonly name: string;
  readonly entry: OperationEntry;
}

interface Exchange {
  readonly options: AwsRpcOptions;
  readonly targets: ReadonlyMap<string, Target>;
  readonly bodies: BodyReader;
  readonly request: WireRequest;
  readonly response: WireResponse;
  readonly headers: Readonly<Record<string, string>>;
}

function targetTable(services: readonly AwsService[]): ReadonlyMap<string, Target> {
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
  // A stream that said itself what went wrong has ended.
  if (response.headersSent) {
    if (!response.writableEnded) response.destroy();
  } else send(exchange, errorReply(exchange.request, known ?? internalFailure()));
}

function serviceErrorOf(options: AwsRpcOptions, error: unknown): ServiceError | undefined {
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
  const { request } = exchange;
  const read = await exchange.bodies.read(request);
  if (read.kind === 'aborted') return null;
  if (read.kind === 'tooLarge') return tooLarge(request);
  if (read.kind === 'busy') return busy(request);
  if (request.method === 'OPTIONS') return preflight(request);
  if (request.method !== 'POST') return wrongMethod();
  const target = exchange.targets.get(header(request, 'x-amz-target') ?? '');
  if (read.body.length === 0) {
    return errorReply(request, target === undefined ? unknownOperation() : serializationError());
  }
  const contentType = mediaType(request);
  const codec = CODECS.get(contentType);
  if (codec === undefined) {
    if (contentType !== PLAIN_JSON) return unknownContentType(request);
    return plainJson(JSON_CODEC.parse(read.body) !== undefined);
  }
  const parsed = codec.parse(read.body);
  if (parsed === undefined) return errorReply(request, serializationError());
  if (target === undefined) return errorReply(request, unknownOperation());
  return operate(exchange, { ...target, codec }, parsed, read.body);
}

async function operate(
  exchange: Exchange,
  { service, name, entry, codec }: Target & { readonly codec: BodyCodec },
  parsed: object,
  body: Uint8Array,
): Promise<Reply | null> {
  const { request, response, headers } = exchange;
  const { model } = service;
  const origin = originOf(request, headers['x-amzn-RequestId'] ?? '');
  const caller = await exchange.options.verify(signable(request), body, model.signingName, origin);
  const input = validateShape(model.shapes, entry.input, parsed, codec.scalars);
  if ('stream' in entry) {
    await entry.stream(input, caller, { response, headers, codec });
    return null;
  }
  const output = await entry.handle(input, caller);
  return {
    status: 200,
    contentType: requestContentType(request),
    body: output === undefined ? '' : codec.write(output, outputShape(model, name)),
  };
}

function outputShape(
  { operations, shapes }: AwsService['model'],
  operation: string,
): DocumentShape | undefined {
  const name = operations[operation]?.output;
  return name === undefined ? undefined : { shapes, name };
}

function signable(request: WireRequest): SignableRequest {
  return {
    method: request.method ?? '',
    url: request.url ?? '/',
    headers: headersFromRaw(request.rawHeaders),
  };
}

function unknownOperation(): ServiceError {
  return clientError('UnknownOperationException');
}

/** In JSON where the request's own encoding is none of ours. */
function errorReply(request: WireRequest, error: ServiceError): Reply {
  const codec = CODECS.get(mediaType(request));
  return {
    status: error.status,
    contentType: codec === undefined ? JSON_CODEC.mediaType : requestContentType(request),
    body: (codec ?? JSON_CODEC).write(errorDocument(error)),
    headers: { 'x-amzn-ErrorType': error.type },
  };
}

function replyHeaders(options: AwsRpcOptions, request: WireRequest): Record<string, string> {
  const headers: Record<string, string> = {
    'x-amzn-RequestId': requestId(),
    'x-amz-id-2': extendedRequestId(),
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
