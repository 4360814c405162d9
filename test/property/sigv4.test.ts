// Goal: whatever comes as a request is accepted or refused by name, and what was signed is accepted only unchanged.
// Method: random requests, signed and then changed in one place.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { SignableRequest } from '../../runtime/sigv4/signable-request.ts';
import { signRequest } from '../../runtime/sigv4/sign.ts';
import { SigV4Error } from '../../runtime/sigv4/sigv4-error.ts';
import { verifyRequest } from '../../runtime/sigv4/verify.ts';

const NOW = Date.UTC(2026, 0, 1);

function verdict(request: SignableRequest, body: Uint8Array): string {
  try {
    const findSecret = (id: string): string | undefined => (id === 'AK' ? 'secret' : undefined);
    return verifyRequest(request, body, { service: 's', now: () => NOW, findSecret }).accessKeyId;
  } catch (error) {
    if (error instanceof SigV4Error) return error.type;
    throw error;
  }
}

const path = fc
  .array(fc.oneof(fc.constantFrom('a', '..', '.', '', '%2F', '%', '+', 'ä', '~'), fc.webSegment()), {
    maxLength: 4,
  })
  .map((segments) => `/${segments.join('/')}`);
const query = fc
  .array(fc.tuple(fc.webQueryParameters(), fc.webQueryParameters()), { maxLength: 3 })
  .map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join('&'));
const url = fc.tuple(path, query).map(([at, asked]) => (asked === '' ? at : `${at}?${asked}`));
const headerText = fc.string({ unit: fc.constantFrom('a', ' ', ',', '\t', '1', '='), maxLength: 10 });

test('what is signed is accepted, and nothing else', () => {
  fc.assert(
    fc.property(url, headerText, fc.uint8Array({ maxLength: 20 }), (target, value, body) => {
      const request = { method: 'POST', url: target, headers: { host: 'h', 'x-thing': value } };
      const options = { region: 'r', service: 's', now: NOW };
      const credentials = { accessKeyId: 'AK', secretAccessKey: 'secret' };
      const signed = { ...request, headers: signRequest({ ...request, body }, credentials, options) };
      expect(verdict(signed, body)).toBe('AK');
      const changes: [SignableRequest, Uint8Array][] = [
        [{ ...signed, method: 'PUT' }, body],
        [{ ...signed, url: target.replace(/(\?|$)/, 'z$1') }, body],
        [{ ...signed, url: `${target}${target.includes('?') ? '&' : '?'}zzz=1` }, body],
        [{ ...signed, headers: { ...signed.headers, 'x-thing': `${value}x` } }, body],
        [{ ...signed, headers: { ...signed.headers, host: 'other' } }, body],
        [signed, Buffer.concat([body, Buffer.of(0)])],
      ];
      for (const [changed, changedBody] of changes)
        expect(verdict(changed, changedBody)).toBe('InvalidSignatureException');
    }),
    { numRuns: 300 },
  );
});

const SCRAPS = [
  'AWS4-HMAC-SHA256',
  'AWS4-HMAC-SHA256 Credential=AK/20260101/r/s/aws4_request',
  'Signature=00',
  'SignedHeaders=host',
  'SignedHeaders=',
  'Credential=////',
  '20260101T000000Z',
  '20269999T999999Z',
  '99999999',
  'X-Amz-Algorithm=AWS4-HMAC-SHA256',
  'X-Amz-Credential=AK',
  'X-Amz-Expires=-1',
  '%',
  '&=',
];
const HEADERS = [
  'authorization',
  'x-amz-date',
  'date',
  'host',
  ':authority',
  'x-amz-content-sha256',
  'x-amz-security-token',
  'x-amz-target',
  '__proto__',
];

test('no request breaks the verifier', () => {
  const scrap = fc.oneof(fc.string(), fc.constantFrom(...SCRAPS));
  const scraps = fc.array(scrap, { maxLength: 5 });
  const header = fc.constantFrom(...HEADERS);
  fc.assert(
    fc.property(fc.dictionary(header, scraps), scraps, (headers, asked) => {
      const request = {
        method: 'POST',
        url: `/?${asked.join('&')}`,
        headers: Object.fromEntries(
          Object.entries(headers).map(([name, values]) => [name, values.join(', ')]),
        ),
      };
      expect(verdict(request, Buffer.alloc(0))).toMatch(/Exception$/);
    }),
    { numRuns: 2_000 },
  );
});
