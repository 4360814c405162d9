// POST /sync/v1/enrol: the one request a stranger may make. The code is its only right; guesses are counted.
import { randomUUID } from 'node:crypto';
import type { z } from 'zod';
import { AssertionFailure, isTributaryError } from '../../stream/errors.ts';
import type { ErrorCode } from '../../stream/errors.ts';
import type { Log } from '../../stream/ports.ts';
import { enrolRequest } from '../../sync/protocol.ts';
import type { EnrolResponse } from '../../sync/protocol.ts';
import { enrolmentText } from '../../sync/signatures.ts';
import type { AuditEntry, AuditLog } from '../access/audit-log.ts';
import { BadBody, parseJson, readSmallBody } from '../wire/json-body.ts';
import type { WireRequest, WireResponse } from '../wire/listener.ts';
import { originOf } from '../wire/origin.ts';
import type { Origin } from '../wire/origin.ts';
import { jsonReply, sendReply } from '../wire/reply.ts';
import type { Reply } from '../wire/reply.ts';
import type { EnrolmentCodes } from './enrolment-codes.ts';
import { newToken } from './gateway-sessions.ts';
import type { GuessLimit } from './guess-limit.ts';
import type { ServerIdentity } from './server-identity.ts';

export interface EnrolParts {
  readonly codes: EnrolmentCodes;
  readonly identity: ServerIdentity;
  readonly guesses: GuessLimit;
  readonly audit: Pick<AuditLog, 'record'>;
  /** The beginning of the ARNs of this server, `arn:aws:tributary:REGION:ACCOUNT`. */
  readonly arnPrefix: string;
  readonly log: Log;
}

const STATUS_OF: Partial<Record<ErrorCode, number>> = {
  ENROLMENT_CODE_INVALID: 403,
  ENROLMENT_CODE_USED: 409,
  ENROLMENT_CODE_EXPIRED: 410,
  PROTOCOL_ERROR: 400,
  BUSY: 503,
  STORAGE_FULL: 503,
};

export function enrolHandler(parts: EnrolParts): (request: WireRequest, response: WireResponse) => void {
  return (request, response) => {
    void answer(request, parts).then((reply) => {
      if (reply !== null) sendReply(response, reply);
    });
  };
}

async function answer(request: WireRequest, parts: EnrolParts): Promise<Reply | null> {
  const read = await readSmallBody(request);
  if (read.kind === 'aborted') return null;
  if (read.kind === 'tooLarge') return refusal(413, 'PROTOCOL_ERROR', 'the body is larger than 16 KiB');
  if (request.method !== 'POST') return refusal(405, 'PROTOCOL_ERROR', 'only POST', { Allow: 'POST' });
  const origin = originOf(request, randomUUID());
  const address = origin.sourceAddress;
  if (!parts.guesses.take(address))
    return refusal(429, 'BUSY', 'too many wrong enrolment codes; try again in a minute', {
      'Retry-After': '60',
    });
  try {
    const response = await enrol(parseJson(read.bytes, enrolRequest), parts);
    parts.guesses.giveBack(address);
    audit(parts, origin, { resource: `${parts.arnPrefix}:gateway/${response.gateway}`, outcome: 'ok' });
    return jsonReply(200, response);
  } catch (error) {
    if (error instanceof AssertionFailure) throw error;
    if (isTributaryError(error))
      audit(parts, origin, { resource: '*', outcome: 'denied', error: error.code });
    return refusalOf(error, address, parts);
  }
}

/** The code is all that a gateway has: there is no user to name. */
function audit(
  parts: EnrolParts,
  { requestId, sourceAddress }: Origin,
  end: Pick<AuditEntry, 'resource' | 'outcome' | 'error'>,
): void {
  parts.audit.record({ requestId, sourceAddress, action: 'tributary:EnrolGateway', ...end });
}

async function enrol(
  request: z.output<typeof enrolRequest>,
  { codes, identity }: EnrolParts,
): Promise<EnrolResponse> {
  const row = await codes.redeem(request);
  const statement = enrolmentText(request.nonce, row.id, row.publicKey);
  return {
    gateway: row.id,
    // Once it had a session, what it lost is not given again: it comes back as one whose disk was restored.
    token: row.connectionEpoch === 0 ? row.token : newToken(),
    serverPublicKey: Buffer.from(identity.publicKey).toString('base64'),
    signature: identity.sign(statement).toString('base64'),
  };
}

function refusalOf(error: unknown, address: string, { guesses, log }: EnrolParts): Reply {
  // Only a wrong code is a guess; a used or an expired one was right once.
  if (isTributaryError(error, 'ENROLMENT_CODE_INVALID')) log.notice('enrolment refused', { address });
  else guesses.giveBack(address);
  if (error instanceof BadBody) return refusal(400, 'PROTOCOL_ERROR', error.message);
  const status = isTributaryError(error) ? STATUS_OF[error.code] : undefined;
  if (isTributaryError(error) && status !== undefined) return refusal(status, error.code, error.message);
  log.error('enrolment failed', { error });
  return refusal(500, 'INTERNAL', 'the server could not enrol the gateway; try again');
}

/** Checked by both sides as enrolRefusal. */
function refusal(
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return jsonReply(status, { code, message }, headers);
}
