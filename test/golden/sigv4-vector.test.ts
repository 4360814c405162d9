// A fixed vector that agrees with botocore.
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { canonicalRequest } from '../../runtime/sigv4/canonical-request.ts';
import { signRequest } from '../../runtime/sigv4/sign.ts';

const BODY = '{"Limit":1}';
const HEADERS = {
  'content-type': 'application/x-amz-json-1.1',
  host: 'localhost:4567',
  'x-amz-target': 'Kinesis_20131202.ListStreams',
};

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

test('canonical request and signature are those of the vector', () => {
  const headers = { ...HEADERS, 'x-amz-date': '20260101T000000Z' };
  const names = ['content-type', 'host', 'x-amz-date', 'x-amz-target'];
  const canonical = canonicalRequest({ method: 'POST', url: '/', headers }, names, sha256(BODY));
  expect(sha256(canonical)).toBe('b547cfef8f5642b11b7c522e8dd43b79ae1f31b13d9271bc35730cdd5ca17cf3');

  const signed = signRequest(
    { method: 'POST', url: '/', headers: HEADERS, body: BODY },
    { accessKeyId: 'AK', secretAccessKey: 'secret' },
    { region: 'us-east-1', service: 'kinesis', now: Date.UTC(2026, 0, 1) },
  );
  expect(signed['authorization']).toBe(
    'AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/kinesis/aws4_request, ' +
      'SignedHeaders=content-type;host;x-amz-date;x-amz-target, ' +
      'Signature=ad802ad2e9f7758249c9af3d8ad295d0facbcf3a35bbf801dc92b0110f315eb7',
  );
});
