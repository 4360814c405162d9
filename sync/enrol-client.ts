// The gateway's half of enrolment: one request, whose answer must be signed by the server that the code pins.
import { randomBytes } from 'node:crypto';
import { ERROR_CODES, TributaryError } from '../stream/errors.ts';
import type { ErrorCode } from '../stream/errors.ts';
import { fingerprintOf, parseEnrolmentCode } from './enrolment-code.ts';
import { ENROL_PATH, enrolRefusal, enrolResponse } from './protocol.ts';
import type { EnrolRequest, EnrolResponse } from './protocol.ts';
import { NONCE_BYTES, enrolmentText, isSignedBy } from './signatures.ts';

export interface Applicant {
  readonly serverUrl: string;
  /** As the server printed it. */
  readonly code: string;
  readonly name: string;
  /** Ed25519, SPKI in DER. */
  readonly publicKey: Uint8Array;
}

const TIMEOUT_MS = 10_000;
const ANSWER_BYTES_MAX = 16 * 1024;

/**
 * Throws ENROLMENT_CODE_* when the server refuses, SERVER_UNTRUSTED when it is not the one of the code, and BUSY
 * (retryable) when it cannot be reached. Asking again with the same key is the same decision at the server.
 */
export async function enrol(applicant: Applicant, signal: AbortSignal): Promise<EnrolResponse> {
  const { fingerprint } = parseEnrolmentCode(applicant.code);
  const publicKey = Buffer.from(applicant.publicKey).toString('base64');
  const nonce = randomBytes(NONCE_BYTES).toString('base64');
  const answer = await post(
    applicant.serverUrl,
    { code: applicant.code, publicKey, name: applicant.name, nonce },
    signal,
  );
  const serverKey = Buffer.from(answer.serverPublicKey, 'base64');
  const text = enrolmentText(nonce, answer.gateway, publicKey);
  if (fingerprintOf(serverKey) === fingerprint && isSignedBy(text, answer.signature, serverKey))
    return answer;
  throw new TributaryError(
    'SERVER_UNTRUSTED',
    `the server at ${applicant.serverUrl} is not the one that made the enrolment code`,
  );
}

async function post(serverUrl: string, request: EnrolRequest, signal: AbortSignal): Promise<EnrolResponse> {
  const { status, text } = await exchange(serverUrl, request, signal);
  const body = parseJson(text);
  if (status === 200) {
    const parsed = enrolResponse.safeParse(body);
    if (parsed.success) return parsed.data;
    throw new TributaryError('PROTOCOL_ERROR', `the answer of ${serverUrl} is no enrolment`);
  }
  const refusal = enrolRefusal.safeParse(body);
  if (refusal.success && Object.hasOwn(ERROR_CODES, refusal.data.code)) {
    throw new TributaryError(refusal.data.code as ErrorCode, refusal.data.message);
  }
  throw unreachable(serverUrl, new Error(`it answered with status ${status}`));
}

async function exchange(
  serverUrl: string,
  request: EnrolRequest,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  try {
    const response = await fetch(new URL(ENROL_PATH, serverUrl), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
    return { status: response.status, text: (await response.text()).slice(0, ANSWER_BYTES_MAX) };
  } catch (error) {
    throw unreachable(serverUrl, error);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not ours: the caller names the status.
    return null;
  }
}

function unreachable(serverUrl: string, error: unknown): TributaryError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TributaryError('BUSY', `the server at ${serverUrl} cannot be reached: ${reason}`, {
    cause: error,
  });
}
