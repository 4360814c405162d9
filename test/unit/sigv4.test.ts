// Every refusal, both forms and both names of the host.
import { createHash, createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { canonicalRequest } from '../../runtime/sigv4/canonical-request.ts';
import { signRequest } from '../../runtime/sigv4/sign.ts';
import { headersFromRaw } from '../../runtime/sigv4/signable-request.ts';
import { SigV4Error } from '../../runtime/sigv4/sigv4-error.ts';
import { verifyRequest } from '../../runtime/sigv4/verify.ts';
import type { Signer } from '../../runtime/sigv4/verify.ts';
import type { HeaderValues, SignableRequest } from '../../runtime/sigv4/signable-request.ts';

const NOW = Date.UTC(2026, 0, 1);
const CREDENTIALS = { accessKeyId: 'AK', secretAccessKey: 'secret' };
const BODY = Buffer.from('{"Limit":1}');

function signed(now = NOW, extra: HeaderValues = {}, service = 'kinesis'): SignableRequest {
  const request = {
    method: 'POST',
    url: '/',
    headers: { host: 'h:1', 'content-type': 'application/x-amz-json-1.1', ...extra },
  };
  const options = { region: 'eu-west-1', service, now };
  return { ...request, headers: signRequest({ ...request, body: BODY }, CREDENTIALS, options) };
}

function verify(request: SignableRequest, body: Uint8Array = BODY): Signer {
  const findSecret = (id: string, token?: string): string | undefined => {
    if (token === 'late') throw new SigV4Error('ExpiredTokenException', 'expired');
    return id === 'AK' && (token === undefined || token === 'good') ? 'secret' : undefined;
  };
  return verifyRequest(request, body, { service: 'kinesis', now: () => NOW, findSecret });
}

function failure(request: SignableRequest, body?: Uint8Array): { type: string; message: string } {
  try {
    verify(request, body);
  } catch (error) {
    if (error instanceof SigV4Error) return { type: error.type, message: error.message };
    throw error;
  }
  throw new Error('was accepted');
}

function withHeader(request: SignableRequest, headers: HeaderValues): SignableRequest {
  return { ...request, headers: { ...request.headers, ...headers } };
}

function presigned(now: number, expires: string | null, extra = ''): SignableRequest {
  const date = new Date(now).toISOString().slice(0, 19).replace(/[-:]/g, '') + 'Z';
  const scope = `${date.slice(0, 8)}/eu-west-1/kinesis/aws4_request`;
  const query =
    `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${encodeURIComponent(`AK/${scope}`)}` +
    `&X-Amz-Date=${date}${expires === null ? '' : `&X-Amz-Expires=${expires}`}&X-Amz-SignedHeaders=host${extra}`;
  const request = { method: 'POST', url: `/?${query}`, headers: { host: 'h:1' } };
  const hash = createHash('sha256').update(BODY).digest('hex');
  const canonical = createHash('sha256')
    .update(canonicalRequest(request, ['host'], hash))
    .digest('hex');
  let key: string | Buffer = 'AWS4secret';
  for (const part of scope.split('/')) key = createHmac('sha256', key).update(part).digest();
  const text = `AWS4-HMAC-SHA256\n${date}\n${scope}\n${canonical}`;
  return {
    ...request,
    url: `${request.url}&X-Amz-Signature=${createHmac('sha256', key).update(text).digest('hex')}`,
  };
}

test('a signed request is accepted, also on the edges of 15 minutes', () => {
  expect(verify(signed())).toEqual({ accessKeyId: 'AK' });
  expect(verify(signed(NOW - 900_000))).toEqual({ accessKeyId: 'AK' });
  expect(verify(signed(NOW + 900_000))).toEqual({ accessKeyId: 'AK' });
});

test('host and :authority stand for each other', () => {
  const host = signed();
  expect(verify(withHeader(host, { host: undefined, ':authority': 'h:1' }))).toEqual({ accessKeyId: 'AK' });
  const request = { method: 'POST', url: '/', headers: { ':authority': 'h:1' } };
  const headers = signRequest({ ...request, body: BODY }, CREDENTIALS, {
    region: 'r',
    service: 'kinesis',
    now: NOW,
  });
  expect(headers['authorization']).toContain('SignedHeaders=:authority;');
  expect(verify({ ...request, headers })).toEqual({ accessKeyId: 'AK' });
  expect(verify({ ...request, headers: { ...headers, ':authority': undefined, host: 'h:1' } })).toBeTruthy();
});

test('no credentials, both forms, an unknown key', () => {
  expect(failure({ method: 'POST', url: '/', headers: { host: 'h' } })).toEqual({
    type: 'MissingAuthenticationTokenException',
    message: 'Missing Authentication Token',
  });
  expect(failure({ ...presigned(NOW, '60'), headers: signed().headers })).toEqual({
    type: 'InvalidSignatureException',
    message: "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
  });
  const authorization = String(signed().headers['authorization']).replace('AK/', 'XX/');
  expect(failure(withHeader(signed(), { authorization }))).toEqual({
    type: 'UnrecognizedClientException',
    message: 'The security token included in the request is invalid.',
  });
});

test('missing parts are listed', () => {
  expect(
    failure({ method: 'POST', url: '/', headers: { authorization: 'AWS4-HMAC-SHA256 Signature=a' } }),
  ).toEqual({
    type: 'IncompleteSignatureException',
    message:
      "Authorization header requires 'Credential' parameter. Authorization header requires 'SignedHeaders' parameter. " +
      "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256 Signature=a",
  });
  expect(
    failure({ method: 'POST', url: '/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=1', headers: {} }),
  ).toEqual({
    type: 'IncompleteSignatureException',
    message:
      "AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-Signature'. " +
      "AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters.",
  });
});

test('wrong scope and wrong clock', () => {
  expect(failure(signed(NOW, {}, 'firehose'))).toEqual({
    type: 'InvalidSignatureException',
    message: "Credential should be scoped to correct service: 'kinesis'. ",
  });
  expect(failure(signed(NOW - 901_000)).message).toBe(
    'Signature expired: 20251231T234459Z is now earlier than 20251231T234500Z (20260101T000000Z - 15 min.)',
  );
  expect(failure(signed(NOW + 901_000)).message).toBe(
    'Signature not yet current: 20260101T001501Z is still later than 20260101T001500Z (20260101T000000Z + 15 min.)',
  );
});

test('a mismatch names the canonical string and the string to sign', () => {
  const { type, message } = failure(signed(), Buffer.from('{}'));
  expect(type).toBe('InvalidSignatureException');
  expect(message).toMatch(
    /^The request signature we calculated does not match [^\n]*details\.\n\nThe Canonical String for this request should have been\n'POST\n\/\n\n/,
  );
  expect(message).toMatch(
    /\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n20260101T000000Z\n[^']*'\n$/,
  );
  expect(failure(withHeader(signed(), { 'content-type': 'x' })).type).toBe('InvalidSignatureException');
});

test('the content hash must be that of the body', () => {
  const hash = createHash('sha256').update(BODY).digest('hex');
  expect(verify(signed(NOW, { 'x-amz-content-sha256': hash }))).toBeTruthy();
  expect(failure(signed(NOW, { 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' })).type).toBe(
    'InvalidSignatureException',
  );
});

test('the host must be signed', () => {
  const authorization = String(signed().headers['authorization']).replace(';host;', ';');
  expect(failure(withHeader(signed(), { authorization })).message).toContain("must be a 'SignedHeader'");
});

test('presigned form: accepted until it expires', () => {
  expect(verify(presigned(NOW - 59_000, '60', '&b=%7e&a=%C3%A4'))).toEqual({ accessKeyId: 'AK' });
  expect(failure(presigned(NOW - 61_000, '60')).message).toContain('Signature expired: ');
  expect(failure(presigned(NOW, '604801')).type).toBe('IncompleteSignatureException');
  expect(failure(presigned(NOW, null)).message).toContain("'X-Amz-Expires'");
  expect(failure(presigned(NOW, '60'), Buffer.from('x')).type).toBe('InvalidSignatureException');
});

test('headers: repeated ones joined by a comma, blanks folded', () => {
  const headers = headersFromRaw(['X-A', ' 1  2 ', 'x-a', '3', 'Host', 'h']);
  expect(canonicalRequest({ method: 'GET', url: '/?b=2&a=%2f&a=', headers }, ['host', 'x-a'], 'H')).toBe(
    'GET\n/\na=&a=%2F&b=2\nhost:h\nx-a:1 2,3\n\nhost;x-a\nH',
  );
});

test('a session token counts in both forms', () => {
  const inHeader = (token: string) => signed(NOW, { 'x-amz-security-token': token });
  expect(verify(inHeader('good'))).toEqual({ accessKeyId: 'AK', sessionToken: 'good' });
  expect(verify(presigned(NOW, '60', '&X-Amz-Security-Token=good')).sessionToken).toBe('good');
  for (const request of [inHeader('bad'), presigned(NOW, '60', '&X-Amz-Security-Token=bad')])
    expect(failure(request).type).toBe('UnrecognizedClientException');
  for (const request of [inHeader('late'), presigned(NOW, '60', '&X-Amz-Security-Token=late')])
    expect(failure(request).type).toBe('ExpiredTokenException');
  expect(failure(withHeader(inHeader('bad'), { 'x-amz-security-token': 'good' })).message).toContain(
    'The request signature we calculated does not match',
  );
});

test('parameters of the signature come once, others as often as they like', () => {
  expect(failure(presigned(NOW, '60', `&X-Amz-Date=${'20260101T000000Z'}`))).toEqual({
    type: 'IncompleteSignatureException',
    message:
      "AWS query-string parameters must include 'X-Amz-Date' only once. Re-examine the query-string parameters.",
  });
  expect(
    failure({ ...presigned(NOW, '60'), url: `${presigned(NOW, '60').url}&X-Amz-Signature=1` }).type,
  ).toBe('IncompleteSignatureException');
  expect(verify(presigned(NOW, '60', '&a=2&a=1&a'))).toBeTruthy();
});

test('the operation must be signed, in both forms', () => {
  const target = { 'x-amz-target': 'Kinesis_20131202.DeleteStream' };
  const message = "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.";
  expect(failure(withHeader(signed(), target)).message).toBe(message);
  expect(failure({ ...presigned(NOW, '60'), headers: { host: 'h:1', ...target } }).message).toBe(message);
  expect(verify(signed(NOW, target))).toBeTruthy();
});

test('paths and queries are decoded and encoded in one way', () => {
  const lines = (url: string) =>
    canonicalRequest({ method: 'GET', url, headers: {} }, [], 'H').split('\n').slice(1, 3);
  // A path is encoded once more, as every service but S3 does; a query is decoded first.
  expect(lines('/a%2Fb/../c//./d/')).toEqual(['/c/d/', '']);
  expect(lines('/%C3%A4+%20')).toEqual(['/%25C3%25A4%2B%2520', '']);
  expect(lines('http://h:1/x?q=a+b&r=a%20b&s=%e4%bd%a0&t&u=&v=a=b&%77=~')).toEqual([
    '/x',
    'q=a%2Bb&r=a%20b&s=%E4%BD%A0&t=&u=&v=a%3Db&w=~',
  ]);
  expect(lines('/?%zz=%')).toEqual(['/', '%25zz=%25']);
});

test('a clock is a date of either format, and the scope names its day', () => {
  const date = (text: string) => failure(withHeader(signed(), { 'x-amz-date': text })).message;
  expect(date('yesterday')).toBe(
    "Date must be in ISO-8601 'basic format'. Got 'yesterday'. See http://en.wikipedia.org/wiki/ISO_8601",
  );
  expect(date('20260102T000000Z')).toMatch(/^Date in Credential scope does not match YYYYMMDD/);
  for (const far of ['+010000-01-01T00:00:00Z', '1 Jan 275000', '-000001-01-01T00:00:00Z'])
    expect(date(far)).toContain("Date must be in ISO-8601 'basic format'");
  const byDate = { 'x-amz-date': undefined, date: 'Thu, 01 Jan 2026 00:00:00 GMT' };
  expect(failure(withHeader(signed(), byDate)).message).toContain('does not match the signature');
  const authorization = String(signed().headers['authorization']);
  const scoped = (from: string, to: string) =>
    failure(withHeader(signed(), { authorization: authorization.replace(from, to) })).message;
  expect(scoped('aws4_request', 'aws5_request')).toContain('valid terminator');
  expect(scoped('/kinesis/', '/')).toContain('exactly 5 slash-delimited elements');
  expect(scoped('AWS4-HMAC-SHA256', 'AWS4-HMAC-SHA1')).toContain("requires 'Credential' parameter. ");
});
