// Goal: what botocore signs is accepted, whatever the path, query, headers and form. Method: botocore signs in one Python
// process, the verifier judges; each request is judged again with one character of its path changed.
import { expect, test } from 'vitest';
import type { SignableRequest } from '../../runtime/sigv4/signable-request.ts';
import { verifyRequest } from '../../runtime/sigv4/verify.ts';
import { runBoto3 } from '../boto3.ts';

const PROGRAM = `
import json, hashlib
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
class BodyQueryAuth(SigV4QueryAuth):
    def payload(self, request): return hashlib.sha256(BODY).hexdigest()
BODY = '{"Limit":1,"t":"\\u00e4"}'.encode()
URLS = ['/', '', '/a b', '/a%2Fb', '/x//y/./z/../w/', '/caf\\u00e9', '/~a+b', '/?a=1&A=2&a=0', '/?e=&f',
    '/?s=a%20b&p=a%2Bb', '/?u=%E4%BD%A0&t=~_.-', '/?X-Custom=1&b=%2F%3F']
HEADERS = [{}, {'Content-Type': 'application/x-amz-json-1.1', 'X-Amz-Target': 'Kinesis_20131202.ListStreams'},
    {'X-Blank': '  a   b  ', 'X-Empty': '', 'User-Agent': 'u', 'Connection': 'close'}]
out = []
for token in [None, 'tok/en+=']:
    credentials = Credentials('AK', 'secret', token)
    for path in URLS:
        for headers in HEADERS:
            for form in ['header', 'query']:
                request = AWSRequest('POST', 'http://localhost:4567' + path, dict(headers), BODY if form == 'header' else None)
                auth = SigV4Auth if form == 'header' else BodyQueryAuth
                auth(credentials, 'kinesis', 'eu-west-1').add_auth(request)
                prepared = request.prepare()
                out.append(dict(form=form, path=path, method='POST', url=prepared.url.replace('http://localhost:4567', '') or '/',
                    headers={k.lower(): v.decode() if isinstance(v, bytes) else v for k, v in prepared.headers.items()}))
print(json.dumps(dict(body=BODY.decode(), requests=out)))
`;

interface Signed extends SignableRequest {
  readonly form: string;
  readonly path: string;
  readonly headers: Record<string, string>;
}

test('header and query forms, with and without a session token', async (context) => {
  const signed = await runBoto3(context, PROGRAM, 'no server is asked');
  const { body, requests } = signed as { body: string; requests: Signed[] };
  const verdict = (request: SignableRequest): string => {
    try {
      return verifyRequest(request, Buffer.from(body), {
        service: 'kinesis',
        now: Date.now,
        findSecret: (id) => (id === 'AK' ? 'secret' : undefined),
      }).accessKeyId;
    } catch (error) {
      return String(error).split('.')[0] ?? '';
    }
  };
  const sent = requests.map((request) => ({
    ...request,
    headers: { host: 'localhost:4567', ...request.headers },
  }));
  expect(sent).toHaveLength(144);
  expect(sent.map((one) => [one.form, one.path, verdict(one)]).filter((row) => row[2] !== 'AK')).toEqual([]);
  const changed = sent.map((one) => ({ ...one, url: one.url.replace(/^\/?/, '/z') }));
  expect(changed.map(verdict).filter((answer) => !answer.includes('does not match'))).toEqual([]);
});
