// Goal: a code lets one gateway in, once, whatever is retried, raced or guessed. Method: the codes and the endpoint
// over the store in memory, requests through a real listener.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openMemoryStore } from '../../storage/memory/memory-store.ts';
import type { MemoryStore } from '../../storage/memory/memory-store.ts';
import type { Log } from '../../stream/ports.ts';
import { fingerprintOf, parseEnrolmentCode } from '../../sync/enrolment-code.ts';
import { enrolResponse } from '../../sync/protocol.ts';
import { enrolmentText, isSignedBy } from '../../sync/signatures.ts';
import type { AuditEntry } from '../../server/access/audit-log.ts';
import { enrolHandler } from '../../server/fleet/enrol-endpoint.ts';
import { EnrolmentCodes } from '../../server/fleet/enrolment-codes.ts';
import { GatewayRegistry } from '../../server/fleet/gateway-registry.ts';
import { GuessLimit } from '../../server/fleet/guess-limit.ts';
import { openServerIdentity } from '../../server/fleet/server-identity.ts';
import type { ServerIdentity } from '../../server/fleet/server-identity.ts';
import { openListener } from '../../server/wire/listener.ts';
import type { Listener } from '../../server/wire/listener.ts';

const lines: string[] = [];
const note = (event: string, fields?: unknown): void => void lines.push(JSON.stringify([event, fields]));
const log: Log = { debug: note, info: note, notice: note, warn: note, error: note, child: () => log };
const sealer = { seal: (plain: Uint8Array) => plain, open: (sealed: Uint8Array) => sealed };

const START_MS = 1_800_000_000_000;
let nowMs = START_MS;
const clock = { wallMs: () => nowMs, monotonicUs: () => BigInt(nowMs) * 1000n };
const HOUR_MS = 3_600_000;

let store: MemoryStore;
let identity: ServerIdentity;
let registry: GatewayRegistry;
let codes: EnrolmentCodes;
let listener: Listener;

async function openParts(): Promise<void> {
  identity = await openServerIdentity(store.meta, sealer);
  registry = await GatewayRegistry.open(store.meta, sealer, clock, log, { gatewaysMax: 3 });
  codes = new EnrolmentCodes(store.meta, clock, registry, {
    fingerprint: identity.fingerprint,
    hashKey: Buffer.from('hash key'),
  });
}

const audited: AuditEntry[] = [];
const audit = { record: (entry: AuditEntry) => void audited.push(entry) };

beforeEach(async () => {
  nowMs = START_MS;
  lines.length = 0;
  audited.length = 0;
  store = await openMemoryStore({ clock });
  await openParts();
  const guesses = new GuessLimit(() => nowMs);
  listener = await openListener({
    host: '127.0.0.1',
    port: 0,
    onRequest: (request, response) =>
      enrolHandler({ codes, identity, guesses, audit, arnPrefix: 'arn', log })(request, response),
  });
});
afterEach(async () => {
  await listener.close();
  await store.close();
});

function newKey(): string {
  return generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
}

async function mint(ttlMs = HOUR_MS, name: string | null = null): Promise<string> {
  return (await codes.mint({ name, allowedStreams: ['telemetry'], ttlMs })).code;
}

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

async function post(body: object | string): Promise<Answer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(listener.url, { method: 'POST', body: text });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

function enrol(
  code: string,
  publicKey: string,
  name = 'barn',
  nonce = randomBytes(32).toString('base64'),
): Promise<Answer> {
  return post({ code, publicKey, name, nonce });
}

describe('a code', () => {
  it('pins the key that signs the answer, over the nonce of the request', async () => {
    const publicKey = newKey();
    const nonce = randomBytes(32).toString('base64');
    const code = await mint();
    const { status, body } = await enrol(code, publicKey, 'barn', nonce);
    expect(status).toBe(200);
    const answer = enrolResponse.parse(body);
    const serverKey = Buffer.from(answer.serverPublicKey, 'base64');
    expect(fingerprintOf(serverKey)).toBe(parseEnrolmentCode(code).fingerprint);
    const text = enrolmentText(nonce, answer.gateway, publicKey);
    expect(isSignedBy(text, answer.signature, serverKey)).toBe(true);
    expect(isSignedBy(enrolmentText(nonce, 'gw-other', publicKey), answer.signature, serverKey)).toBe(false);
    expect(registry.list()).toMatchObject([{ id: answer.gateway, name: 'barn', isOnline: false }]);
  });

  it('gives the same gateway to the same key again, also after a restart and after it expired', async () => {
    const publicKey = newKey();
    const code = await mint();
    const first = await enrol(code, publicKey);
    const again = await enrol(code, publicKey);
    expect(again.body['gateway']).toBe(first.body['gateway']);
    expect(again.body['token']).toBe(first.body['token']);
    nowMs += 2 * HOUR_MS;
    await openParts();
    const late = await enrol(code, publicKey);
    expect([late.status, late.body['gateway'], late.body['token']]).toEqual([
      200,
      first.body['gateway'],
      first.body['token'],
    ]);
    expect(registry.list()).toHaveLength(1);
  });

  it('that was used is no good to another key', async () => {
    const code = await mint();
    await enrol(code, newKey());
    expect(await enrol(code, newKey())).toMatchObject({ status: 409, body: { code: 'ENROLMENT_CODE_USED' } });
    expect(registry.list()).toHaveLength(1);
  });

  it('that many keys want at once goes to one of them', async () => {
    const code = await mint();
    const answers = await Promise.all(Array.from({ length: 5 }, () => enrol(code, newKey())));
    expect(answers.map(({ status }) => String(status)).toSorted()).toEqual([
      '200',
      ...Array<string>(4).fill('409'),
    ]);
    expect(registry.list()).toHaveLength(1);
  });

  it('finishes an enrolment that a crash cut between its two writes', async () => {
    const publicKey = newKey();
    const code = await mint();
    const { body } = await enrol(code, publicKey);
    await store.meta.del(`gateway/${String(body['gateway'])}`, 'any');
    await openParts();
    const again = await enrol(code, publicKey);
    expect([again.status, again.body['gateway']]).toEqual([200, body['gateway']]);
    expect(registry.list()).toHaveLength(1);
  });

  it('expires', async () => {
    const code = await mint(60_000);
    nowMs += 60_000;
    expect(await enrol(code, newKey())).toMatchObject({
      status: 410,
      body: { code: 'ENROLMENT_CODE_EXPIRED' },
    });
    expect(registry.list()).toEqual([]);
  });

  it('does not bring back a gateway that was removed', async () => {
    const publicKey = newKey();
    const code = await mint();
    const { body } = await enrol(code, publicKey);
    await codes.forgetGateway(String(body['gateway']));
    await registry.remove(String(body['gateway']));
    expect((await enrol(code, publicKey)).body['code']).toBe('ENROLMENT_CODE_INVALID');
    expect(registry.list()).toEqual([]);
  });

  it('gives no token of a gateway that has been connected', async () => {
    const publicKey = newKey();
    const code = await mint();
    const first = await enrol(code, publicKey);
    const grant = await registry.begin(String(first.body['gateway']), String(first.body['token']), '1', () =>
      Promise.resolve(),
    );
    const again = await enrol(code, publicKey);
    expect(again.status).toBe(200);
    expect([grant.token, first.body['token']]).not.toContain(again.body['token']);
  });

  it('decides the name before the gateway does', async () => {
    await enrol(await mint(HOUR_MS, 'from the operator'), newKey(), 'from the gateway');
    await enrol(await mint(), newKey(), 'from the gateway');
    const { body } = await enrol(await mint(), newKey(), '');
    expect(registry.list().map(({ name }) => name)).toEqual([
      'from the gateway',
      'from the operator',
      body['gateway'],
    ]);
  });

  it('is stored as a hash only, and is not in the log', async () => {
    const code = await mint();
    await enrol(code, newKey());
    const secret = parseEnrolmentCode(code).code;
    for await (const { key, value } of store.meta.list(''))
      expect(key + Buffer.from(value).toString('latin1')).not.toContain(secret);
    expect(lines.join('\n')).not.toContain(secret);
  });

  it('is typed as people type', async () => {
    const code = await mint();
    const sloppy = ` ${code.toLowerCase().replace('-', '')}\n`;
    expect(parseEnrolmentCode(sloppy)).toEqual(parseEnrolmentCode(code));
    for (const text of [
      '',
      'ABCD-EFGH',
      code.slice(0, -1),
      `${code}A`,
      code.replace('.', ','),
      'O000-1111.2222222222222222',
    ])
      expect(() => parseEnrolmentCode(text), text).toThrow(
        expect.objectContaining({ code: 'ENROLMENT_CODE_INVALID' }),
      );
  });

  it('is refused beyond the gateways that fit, and stays good', async () => {
    for (let n = 0; n < 3; n += 1) expect((await enrol(await mint(), newKey())).status).toBe(200);
    const code = await mint();
    expect(await enrol(code, newKey())).toMatchObject({ status: 503, body: { code: 'BUSY' } });
    await registry.remove(registry.list()[0]?.id ?? '');
    expect((await enrol(code, newKey())).status).toBe(200);
  });
});

describe('a stranger', () => {
  const wrong = (): string => `${'ABCD'}-${'EFGH'}.${identity.fingerprint}`;

  it('is told what is wrong with the request, and nothing changes', async () => {
    const good = { code: await mint(), publicKey: newKey(), name: 'n', nonce: 'AAAA' };
    const rsa = generateKeyPairSync('x25519').publicKey.export({ format: 'der', type: 'spki' });
    const rows: [object | string, number, string, string][] = [
      ['{', 400, 'PROTOCOL_ERROR', 'not JSON'],
      ['[]', 400, 'PROTOCOL_ERROR', 'expected object'],
      [{ ...good, code: 5 }, 400, 'PROTOCOL_ERROR', 'code:'],
      [{ ...good, publicKey: '' }, 400, 'PROTOCOL_ERROR', 'Ed25519'],
      [{ ...good, publicKey: 'AAAA' }, 400, 'PROTOCOL_ERROR', 'Ed25519'],
      [{ ...good, publicKey: rsa.toString('base64') }, 400, 'PROTOCOL_ERROR', 'Ed25519'],
      [{ ...good, nonce: '!' }, 400, 'PROTOCOL_ERROR', 'nonce:'],
      [{ ...good, name: 'x'.repeat(17_000) }, 413, 'PROTOCOL_ERROR', '16 KiB'],
      [{ ...good, code: good.code.slice(0, -1) }, 403, 'ENROLMENT_CODE_INVALID', 'looks like'],
      [{ ...good, code: `ABCD-EFGH.${'2'.repeat(16)}` }, 403, 'ENROLMENT_CODE_INVALID', 'another server'],
      [{ ...good, code: wrong() }, 403, 'ENROLMENT_CODE_INVALID', 'no such code'],
    ];
    for (const [body, status, code, text] of rows) {
      const answer = await post(body);
      expect([answer.status, answer.body['code']], JSON.stringify(body).slice(0, 80)).toEqual([status, code]);
      expect(answer.body['message']).toContain(text);
    }
    expect(registry.list()).toEqual([]);
    expect((await fetch(listener.url)).status).toBe(405);
  });

  it('has ten guesses a minute, however many come at once, and a right code does not count', async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, () => enrol(wrong(), newKey())));
    expect(answers.filter(({ status }) => status === 403)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(20);
    expect((await enrol(await mint(), newKey())).status).toBe(429);
    nowMs += 60_000;
    const code = await mint();
    const key = newKey();
    for (let n = 0; n < 15; n += 1) expect((await enrol(code, key)).status).toBe(200);
  });
});

describe('guesses of all addresses together', () => {
  it('are bounded, and so is what is remembered of them', () => {
    const limit = new GuessLimit(() => nowMs);
    let taken = 0;
    for (let n = 0; n < 1_000; n += 1) if (limit.take(`10.0.0.${n}`)) taken += 1;
    expect(taken).toBe(200);
    nowMs += 60_000;
    expect(limit.take('10.0.0.1')).toBe(true);
  });
});

it('an enrolment is audited, and so is what is refused', async () => {
  const code = await mint();
  const { body } = await enrol(code, newKey());
  await enrol(code, newKey());
  const call = { action: 'tributary:EnrolGateway', sourceAddress: '127.0.0.1' };
  expect(audited).toMatchObject([
    { ...call, resource: `arn:gateway/${String(body['gateway'])}`, outcome: 'ok' },
    { ...call, resource: '*', outcome: 'denied', error: 'ENROLMENT_CODE_USED' },
  ]);
  expect(JSON.stringify(audited)).not.toContain(code);
});
