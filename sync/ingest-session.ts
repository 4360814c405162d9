// The central half of the link: one WebSocket, one gateway. Trusts nothing: every frame is parsed by the contract,
// every block is walked whole before the log sees it, and only what is durable is acknowledged.
import { randomBytes } from 'node:crypto';
import type { WebSocket } from 'ws';
import { TributaryError, isTributaryError } from '../stream/errors.ts';
import type { ErrorCode } from '../stream/errors.ts';
import type { Clock, Codec, Digest, Log } from '../stream/ports.ts';
import { takeBlock } from './ingest-lane.ts';
import type { SessionLane } from './ingest-lane.ts';
import { EMPTY_TAG, decodeLaneTag } from '../stream/lane-tag.ts';
import type { IngestLane, IngestTarget, SessionDirectory, SessionGrant } from './ports.ts';
import {
  CONTROL_BYTES_MAX,
  CREDIT_BYTES,
  PING_INTERVAL_MS,
  SILENCE_MS,
  SYNC_VERSION,
  decodeBlockFrame,
  encodeControl,
  gatewayMessage,
} from './protocol.ts';
import type { GatewayMessage, ServerMessage } from './protocol.ts';
import { NONCE_BYTES, challengeText, helloText, isSignedBy } from './signatures.ts';

export interface IngestParts {
  readonly directory: SessionDirectory;
  readonly target: IngestTarget;
  /** The server's Ed25519 key. `publicKey` is SPKI in DER, `sign` answers 64 bytes. */
  readonly identity: { readonly publicKey: Uint8Array; sign(text: Uint8Array): Uint8Array };
  readonly digest: Digest;
  readonly clock: Clock;
  readonly log: Log;
  /** Told to the gateway; a block of another one is refused. */
  readonly codecs: readonly Codec[];
}

type LaneMessage = Extract<GatewayMessage, { type: 'lane' }>;

/** A gateway that sends more than its credit is not waiting for acknowledgements: its session ends. */
const UNACKNOWLEDGED_BYTES_MAX = 4 * CREDIT_BYTES + 16 * 1024 * 1024;
/** Control frames that may wait while an earlier one is worked on. */
const CONTROL_QUEUE_MAX = 8_192;
const HELLO_DEADLINE_MS = 15_000;
/** WebSocket close codes (RFC 6455, 7.4): policy, going away, try again later. */
const CLOSE_POLICY = 1008;
const CLOSE_AWAY = 1001;
const CLOSE_RETRY = 1013;

/** Resolves when the socket is closed and nothing of the session is under way any more. */
export function runIngestSession(socket: WebSocket, parts: IngestParts): Promise<void> {
  return new IngestSession(socket, parts).run();
}

class IngestSession {
  readonly #socket: WebSocket;
  readonly #parts: IngestParts;
  readonly #lanes = new Map<number, SessionLane | 'refused'>();
  readonly #pending = new Set<Promise<void>>();
  readonly #acknowledged = new Map<number, bigint>();
  readonly #serverNonce = randomBytes(NONCE_BYTES).toString('base64');
  #gateway: string | null = null;
  #publicKey: Uint8Array | null = null;
  #grant: SessionGrant | null = null;
  #control = Promise.resolve();
  #controlWaiting = 0;
  #inFlightBytes = 0;
  #heardAtUs: bigint;
  /** What else is under way fails of the same cause. */
  #hasFailed = false;

  constructor(socket: WebSocket, parts: IngestParts) {
    this.#socket = socket;
    this.#parts = parts;
    this.#heardAtUs = parts.clock.monotonicUs();
  }

  async run(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#socket.once('close', () => resolve()));
    // The close event follows; without a listener the error would end the process.
    this.#socket.on('error', (error) =>
      this.#parts.log.debug('sync socket failed', { error: error.message }),
    );
    this.#socket.on('message', (data: Buffer, isBinary: boolean) => this.#onFrame(data, isBinary));
    this.#socket.on('pong', () => this.#heard());
    const beat = setInterval(() => this.#beat(), PING_INTERVAL_MS);
    const deadline = setTimeout(() => {
      if (this.#grant === null) this.#refuse('PROTOCOL_ERROR', 'no hello came in time');
    }, HELLO_DEADLINE_MS);
    await closed;
    clearInterval(beat);
    clearTimeout(deadline);
    // A hello that is still being judged would leave its grant behind.
    await this.#control;
    await this.#settle();
    this.#grant?.end();
  }

  #heard(): void {
    this.#heardAtUs = this.#parts.clock.monotonicUs();
  }

  #beat(): void {
    const silentMs = Number(this.#parts.clock.monotonicUs() - this.#heardAtUs) / 1000;
    if (silentMs > SILENCE_MS) this.#socket.terminate();
    else this.#socket.ping();
  }

  #onFrame(data: Buffer, isBinary: boolean): void {
    this.#heard();
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (isBinary) {
      this.#guard(() => this.#onBlock(data));
      return;
    }
    this.#controlWaiting += 1;
    if (this.#controlWaiting > CONTROL_QUEUE_MAX) {
      this.#refuse('PROTOCOL_ERROR', `more than ${CONTROL_QUEUE_MAX} control frames wait`);
      return;
    }
    // In order, one after the other: a lane is not opened before the hello is judged.
    this.#control = this.#control.then(async () => {
      this.#controlWaiting -= 1;
      if (this.#socket.readyState !== this.#socket.OPEN) return;
      try {
        await this.#onControl(data);
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  #guard(handle: () => void): void {
    try {
      handle();
    } catch (error) {
      this.#fail(error);
    }
  }

  async #onControl(data: Buffer): Promise<void> {
    const message = parseMessage(data);
    if (message.type === 'open') return this.#onOpen(message);
    if (message.type === 'hello') return this.#onHello(message);
    if (this.#grant === null) throw protocolError(`${message.type} came before the hello`);
    if (message.type === 'lane') return this.#onLane(message, this.#grant);
    if (message.type === 'confirm') this.#grant.confirm();
    else {
      const { backlogRecords: records, backlogBytes: bytes, oldestUnsentMs, evictedRecords } = message;
      this.#grant.status({ records, bytes, oldestUnsentMs, evictedRecords });
    }
  }

  async #onOpen(message: Extract<GatewayMessage, { type: 'open' }>): Promise<void> {
    if (this.#gateway !== null) throw protocolError('the session is open already');
    if (message.version !== SYNC_VERSION) {
      throw protocolError(
        `the gateway speaks version ${message.version} of the protocol, this server version ${SYNC_VERSION}; update the older one`,
      );
    }
    this.#gateway = message.gateway;
    this.#publicKey = await this.#parts.directory.publicKeyOf(message.gateway);
    if (this.#publicKey === null) {
      throw new TributaryError(
        'GATEWAY_UNKNOWN',
        `this server does not know gateway ${message.gateway}: it was removed, or the server's data are older than its enrolment; start it with --server and --enrol and a new code, its records wait in its log`,
      );
    }
    const { identity } = this.#parts;
    const text = challengeText(message.gateway, message.nonce, this.#serverNonce);
    this.#send({
      type: 'challenge',
      version: SYNC_VERSION,
      nonce: this.#serverNonce,
      publicKey: Buffer.from(identity.publicKey).toString('base64'),
      signature: Buffer.from(identity.sign(text)).toString('base64'),
    });
  }

  async #onHello(message: Extract<GatewayMessage, { type: 'hello' }>): Promise<void> {
    if (this.#gateway === null || this.#publicKey === null || this.#grant !== null) {
      throw protocolError('hello follows open, once');
    }
    const text = helloText(this.#gateway, this.#serverNonce, message.token);
    if (!isSignedBy(text, message.signature, this.#publicKey)) {
      throw new TributaryError(
        'GATEWAY_SIGNATURE',
        `the signature is not that of gateway ${this.#gateway}; its key was changed or its name is used by another`,
      );
    }
    const takeOver = (): Promise<void> => this.#takenOver();
    const grant = await this.#parts.directory.begin(
      this.#gateway,
      message.token,
      message.programVersion,
      takeOver,
    );
    this.#grant = grant;
    this.#send({
      type: 'welcome',
      token: grant.token,
      timeMs: this.#parts.clock.wallMs(),
      creditBytes: CREDIT_BYTES,
      configVersion: grant.configVersion,
      codecs: this.#parts.codecs.map(({ id }) => id),
    });
  }

  async #onLane(message: LaneMessage, grant: SessionGrant): Promise<void> {
    const { lane: index, stream, incarnation } = message;
    // The lane may be open already: its blocks under way decide where it stands.
    const open = this.#lanes.get(index);
    if (open !== undefined && open !== 'refused') await open.newest;
    if (!grant.mayFeed(stream)) {
      const text = `gateway ${grant.gateway} may not feed stream ${stream}; enrol it with a code that allows it`;
      this.#lanes.set(index, 'refused');
      grant.report({ kind: 'refused', message: text });
      this.#send({ type: 'laneRefused', lane: index, code: 'STREAM_NOT_ALLOWED', message: text });
      return;
    }
    const name = `${grant.gateway}/${stream}/${message.class}/${incarnation}`;
    const target = await this.#openTarget(index, stream, name, grant);
    if (target === null) return;
    const state = await target.state();
    const { runs, fingerprint } = state === null ? EMPTY_TAG : decodeLaneTag(state.tag);
    const last = state?.last ?? 0n;
    reportLane(message, state === null ? null : last, grant);
    const history = { last: last > message.from ? last : message.from, runs };
    const { from } = message;
    const newest = Promise.resolve();
    this.#lanes.set(index, { index, stream, class: message.class, target, from, history, newest });
    this.#send({
      type: 'laneState',
      lane: index,
      incarnation,
      last,
      runs: runs.map(({ run, firstOrdinal }) => ({ run, first: firstOrdinal })),
      fingerprint,
    });
  }

  /** Null: the stream cannot be had now. The other lanes go on, and the gateway offers this one again. */
  async #openTarget(
    index: number,
    stream: string,
    name: string,
    grant: SessionGrant,
  ): Promise<IngestLane | null> {
    try {
      return await this.#parts.target.openLane(stream, name);
    } catch (error) {
      if (!isTributaryError(error, 'BUSY')) throw error;
      this.#lanes.set(index, 'refused');
      grant.report({ kind: 'refused', message: error.message });
      this.#send({ type: 'laneRefused', lane: index, code: error.code, message: error.message });
      return null;
    }
  }

  #onBlock(data: Buffer): void {
    const frame = decodeBlockFrame(data);
    const lane = frame === null ? undefined : this.#lanes.get(frame.lane);
    if (frame === null || lane === undefined)
      throw protocolError('the binary frame is no block of an open lane');
    if (lane === 'refused') return;
    const bytes = frame.block.length;
    this.#inFlightBytes += bytes;
    if (this.#inFlightBytes > UNACKNOWLEDGED_BYTES_MAX)
      throw protocolError('more was sent than the credit allows');
    const taken = takeBlock(lane, frame.block, this.#parts.digest, this.#parts.codecs);
    const work = taken.then(
      ({ last, records }) => {
        this.#inFlightBytes -= bytes;
        if (records > 0) this.#grant?.received(records, bytes);
        this.#acknowledge(lane.index, last);
      },
      (error: unknown) => this.#fail(error),
    );
    lane.newest = work;
    this.#pending.add(work);
    void work.finally(() => this.#pending.delete(work));
  }

  /** Appends of one commit end in one turn of the event loop: one frame a lane tells of all of them. */
  #acknowledge(lane: number, ordinal: bigint): void {
    if (this.#acknowledged.size === 0) setImmediate(() => this.#flushAcknowledgements());
    const known = this.#acknowledged.get(lane) ?? 0n;
    this.#acknowledged.set(lane, ordinal > known ? ordinal : known);
  }

  #flushAcknowledgements(): void {
    for (const [lane, ordinal] of this.#acknowledged) this.#send({ type: 'ack', lane, ordinal });
    this.#acknowledged.clear();
  }

  async #settle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  async #takenOver(): Promise<void> {
    this.#socket.close(CLOSE_AWAY, 'the gateway has a newer session');
    this.#socket.terminate();
    await this.#settle();
  }

  #fail(error: unknown): void {
    const { log } = this.#parts;
    const isFirst = !this.#hasFailed;
    this.#hasFailed = true;
    if (!isTributaryError(error)) {
      log.error('sync session failed', { gateway: this.#gateway, error });
      this.#refuse('BUSY', 'the server failed; try again');
      return;
    }
    if (!isFirst) return;
    log.warn('sync session refused', { gateway: this.#gateway, code: error.code, message: error.message });
    this.#refuse(error.code, error.message, error.retryable ? CLOSE_RETRY : CLOSE_POLICY);
  }

  #refuse(code: ErrorCode, message: string, closeCode = CLOSE_POLICY): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    this.#send({ type: 'refused', code, message });
    this.#socket.close(closeCode, code);
  }

  #send(message: ServerMessage): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(encodeControl(message));
  }
}

function reportLane(message: LaneMessage, stored: bigint | null, grant: SessionGrant): void {
  const { stream, base, from } = message;
  if (stored === null && base > 0n) {
    const text = `stream ${stream}: records after ordinal ${base} go on under a new incarnation, because the disk of the gateway and the server do not agree on what follows (restored image, copied disk, or a disk that lost a flush)`;
    grant.report({ kind: 'forked', message: text });
  }
  const known = stored ?? base;
  if (from <= known) return;
  const text = `stream ${stream}: ${from - known} ${message.class} records (ordinals ${known + 1n}..${from}) are lost: the gateway evicted them before they could be sent, or its disk damaged them`;
  grant.report({ kind: 'gap', message: text });
}

function parseMessage(data: Buffer): GatewayMessage {
  if (data.length > CONTROL_BYTES_MAX)
    throw protocolError(`a control frame is at most ${CONTROL_BYTES_MAX} bytes`);
  const parsed = gatewayMessage.safeParse(parseJson(data));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw protocolError(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'malformed'}`);
}

function parseJson(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString('utf8'));
  } catch {
    throw protocolError('a control frame is not JSON');
  }
}

function protocolError(reason: string): TributaryError {
  return new TributaryError('PROTOCOL_ERROR', `the frame is refused: ${reason}`);
}
