// The edge half of one connection: proves both sides, compares the lanes, then sends what the server lacks, the most
// urgent class first, within the window. Ends by throwing the reason.
import { randomBytes } from 'node:crypto';
import { WebSocket } from 'ws';
import { TributaryError, ERROR_CODES } from '../stream/errors.ts';
import type { ErrorCode } from '../stream/errors.ts';
import { RECORD_CLASSES } from '../stream/record.ts';
import type { Clock, Codec, Digest, Log } from '../stream/ports.ts';
import type { GatewayIdentity, UplinkSource } from './ports.ts';
import {
  CONTROL_BYTES_MAX,
  LANES_MAX,
  PING_INTERVAL_MS,
  SILENCE_MS,
  SYNC_PATH,
  SYNC_VERSION,
  encodeBlockFrame,
  encodeControl,
  serverMessage,
} from './protocol.ts';
import type { ServerMessage } from './protocol.ts';
import { NONCE_BYTES, challengeText, helloText, isSignedBy, signText } from './signatures.ts';
import { LaneLink, wireOf } from './uplink-lane.ts';
import type { Wire } from './uplink-lane.ts';
import { SendWindow } from './window.ts';

export interface UplinkParts {
  readonly source: UplinkSource;
  /** Asked for every session: enrolling anew changes it. */
  readonly identity: () => GatewayIdentity;
  readonly programVersion: string;
  readonly digest: Digest;
  /** Codecs of the log's blocks, and what those are written with that are made for the wire. */
  readonly codecs: readonly Codec[];
  readonly compression: Codec | undefined;
  readonly clock: Clock;
  /** In [0, 1): spreads the attempts of many gateways. */
  readonly random: () => number;
  readonly log: Log;
}

export interface SessionEvents {
  /** The server has accepted the gateway; `serverMinusLocalMs` tells how the clocks stand. */
  onWelcome(serverMinusLocalMs: number): void;
  onAcknowledged(bytes: number): void;
}

const CONNECT_TIMEOUT_MS = 10_000;
const STATUS_INTERVAL_MS = 5_000;
/** Pause before a lane that the server refused is offered again. */
const REFUSED_RETRY_US = 60_000_000n;

/** Resolves when `signal` aborts, rejects with a TributaryError when the session ends otherwise. */
export async function runUplinkSession(
  parts: UplinkParts,
  events: SessionEvents,
  signal: AbortSignal,
): Promise<void> {
  const session = new UplinkSession(parts, events);
  await session.run(signal);
}

class UplinkSession {
  readonly #parts: UplinkParts;
  readonly #events: SessionEvents;
  readonly #identity: GatewayIdentity;
  readonly #socket: WebSocket;
  readonly #links: LaneLink[] = [];
  readonly #nonce = randomBytes(NONCE_BYTES).toString('base64');
  #window: SendWindow | null = null;
  #wire: Wire = { codecs: [], takes: [], compression: undefined };
  #control = Promise.resolve();
  #failure: TributaryError | null = null;
  #pumping = false;
  #woken = false;
  #turn = 0;
  #refusedAtUs = 0n;
  #heardAtUs: bigint;

  constructor(parts: UplinkParts, events: SessionEvents) {
    this.#parts = parts;
    this.#events = events;
    this.#identity = parts.identity();
    this.#heardAtUs = parts.clock.monotonicUs();
    this.#socket = new WebSocket(syncUrl(this.#identity.serverUrl), {
      handshakeTimeout: CONNECT_TIMEOUT_MS,
      maxPayload: CONTROL_BYTES_MAX,
      perMessageDeflate: false,
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    const socket = this.#socket;
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    const stop = (): void => socket.terminate();
    socket.on('error', (error) => this.#end(unreachable(this.#identity.serverUrl, error)));
    socket.once('open', () =>
      this.#send({
        type: 'open',
        version: SYNC_VERSION,
        gateway: this.#identity.gateway,
        nonce: this.#nonce,
      }),
    );
    socket.on('message', (data: Buffer) => this.#onFrame(data));
    socket.on('ping', () => this.#heard());
    socket.on('pong', () => this.#heard());
    signal.addEventListener('abort', stop, { once: true });
    const beat = setInterval(() => this.#beat(), PING_INTERVAL_MS);
    const report = setInterval(() => this.#report(), STATUS_INTERVAL_MS);
    const unsubscribe = this.#parts.source.onAppended(() => this.#wake());
    if (signal.aborted) stop();
    await closed;
    unsubscribe();
    clearInterval(beat);
    clearInterval(report);
    signal.removeEventListener('abort', stop);
    await this.#control;
    if (signal.aborted) return;
    throw this.#failure ?? new TributaryError('BUSY', 'the connection to the server was closed');
  }

  #heard(): void {
    this.#heardAtUs = this.#parts.clock.monotonicUs();
  }

  #beat(): void {
    const silentMs = Number(this.#parts.clock.monotonicUs() - this.#heardAtUs) / 1000;
    if (silentMs > SILENCE_MS)
      this.#end(new TributaryError('BUSY', `the server was silent for ${SILENCE_MS} ms`));
    else if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping();
  }

  /** What was refused may be allowed by now, or possible. */
  #retryRefused(): void {
    const sinceUs = this.#parts.clock.monotonicUs() - this.#refusedAtUs;
    if (sinceUs < REFUSED_RETRY_US) return;
    for (const link of this.#links) if (link.status === 'refused') this.#send(link.openMessage());
  }

  #report(): void {
    if (this.#window === null) return;
    this.#retryRefused();
    void this.#parts.source.backlog().then(
      ({ records, bytes, oldestUnsentMs, evictedRecords }) =>
        this.#send({
          type: 'status',
          backlogRecords: records,
          backlogBytes: bytes,
          oldestUnsentMs,
          evictedRecords,
        }),
      (error: unknown) => this.#fail(error),
    );
  }

  #onFrame(data: Buffer): void {
    this.#heard();
    this.#control = this.#control.then(async () => {
      if (this.#failure !== null) return;
      try {
        await this.#onMessage(parseMessage(data));
      } catch (error) {
        this.#fail(error);
      }
    });
  }

  async #onMessage(message: ServerMessage): Promise<void> {
    switch (message.type) {
      case 'challenge':
        return this.#onChallenge(message);
      case 'welcome':
        return this.#onWelcome(message);
      case 'laneState':
        return this.#onLaneState(message);
      case 'ack':
        return this.#onAcknowledged(message.lane, message.ordinal);
      case 'laneRefused':
        return this.#onLaneRefused(message);
      case 'refused':
        return this.#end(refusal(message.code, message.message));
    }
  }

  #onChallenge(message: Extract<ServerMessage, { type: 'challenge' }>): void {
    const identity = this.#identity;
    const publicKey = Buffer.from(message.publicKey, 'base64');
    const text = challengeText(identity.gateway, this.#nonce, message.nonce);
    if (!publicKey.equals(identity.serverPublicKey) || !isSignedBy(text, message.signature, publicKey)) {
      const reason = `the server at ${identity.serverUrl} is not the one this gateway was enrolled at; nothing is sent to it`;
      throw new TributaryError('SERVER_UNTRUSTED', reason);
    }
    const token = identity.currentToken();
    this.#send({
      type: 'hello',
      signature: signText(helloText(identity.gateway, message.nonce, token), identity.privateKey),
      token,
      programVersion: this.#parts.programVersion,
    });
  }

  async #onWelcome(message: Extract<ServerMessage, { type: 'welcome' }>): Promise<void> {
    await this.#identity.saveToken(message.token);
    this.#send({ type: 'confirm' });
    const { codecs, compression } = this.#parts;
    this.#wire = wireOf(codecs, compression, message.codecs);
    this.#window = new SendWindow(message.creditBytes);
    this.#events.onWelcome(message.timeMs - this.#parts.clock.wallMs());
    this.#report();
    this.#wake();
  }

  async #onLaneState(message: Extract<ServerMessage, { type: 'laneState' }>): Promise<void> {
    const link = this.#links[message.lane];
    if (link === undefined) throw protocolError(`it speaks of lane ${message.lane}, which is not open`);
    const { stream, class: recordClass } = link.lane;
    const outcome = await link.opened(message);
    if (outcome === 'moved') this.#send(link.openMessage());
    if (outcome === 'forked') {
      this.#parts.log.warn('lane parted from the server', {
        stream,
        class: recordClass,
        base: link.lane.base,
      });
      this.#send(link.openMessage());
    }
    if (outcome === 'rewound') {
      this.#parts.log.warn('server lost records, sending again', {
        stream,
        class: recordClass,
        after: link.sent,
      });
    }
    this.#wake();
  }

  #onAcknowledged(index: number, ordinal: bigint): void {
    const link = this.#links[index];
    if (link === undefined) throw protocolError(`it acknowledges lane ${index}, which is not open`);
    const nowUs = this.#parts.clock.monotonicUs();
    for (const sent of link.acknowledged(ordinal)) {
      this.#window?.acknowledged(sent, nowUs);
      this.#events.onAcknowledged(sent.bytes);
    }
    this.#wake();
  }

  #onLaneRefused(message: Extract<ServerMessage, { type: 'laneRefused' }>): void {
    const link = this.#links[message.lane];
    if (link !== undefined) link.status = 'refused';
    this.#refusedAtUs = this.#parts.clock.monotonicUs();
    this.#parts.log.error('stream refused by the server', { code: message.code, message: message.message });
  }

  /** One pump at a time; what happens meanwhile makes it go round once more. */
  #wake(): void {
    this.#woken = true;
    if (this.#pumping || this.#window === null) return;
    this.#pumping = true;
    void this.#pump().catch((error: unknown) => this.#fail(error));
  }

  async #pump(): Promise<void> {
    while (this.#woken && this.#failure === null) {
      this.#woken = false;
      this.#openLanes();
      while (await this.#sendNext());
    }
    // In the turn that saw nothing more to do: a wake-up that comes later starts another.
    this.#pumping = false;
  }

  /** New ones, and those of which something that was not sent is gone. */
  #openLanes(): void {
    const lanes = this.#parts.source.lanes();
    for (const lane of lanes.slice(this.#links.length, LANES_MAX)) {
      const link = new LaneLink(this.#links.length, lane, this.#parts.digest, this.#wire);
      this.#links.push(link);
      this.#send(link.openMessage());
    }
    for (const link of this.#links) if (link.hasGap) this.#send(link.openMessage());
  }

  /** False when there is nothing to send or no room for it; the next acknowledgement or append wakes the pump. */
  async #sendNext(): Promise<boolean> {
    const window = this.#window;
    const link = this.#mostUrgent();
    if (window === null || link === undefined || this.#failure !== null) return false;
    const block = await link.peek();
    if (block === null) {
      // Evicted under the reader, or not readable yet: whoever changes that wakes the pump.
      if (link.hasGap) this.#woken = true;
      return false;
    }
    if (!window.hasRoomFor(block.length) || link.status !== 'ready') return false;
    link.take(window.sent(block.length, this.#parts.clock.monotonicUs()));
    this.#turn += 1;
    this.#socket.send(encodeBlockFrame(link.index, block));
    return true;
  }

  /** By class; within a class in turns, so that no stream starves another. */
  #mostUrgent(): LaneLink | undefined {
    for (const recordClass of RECORD_CLASSES) {
      const ready = this.#links.filter((link) => link.lane.class === recordClass && link.hasUnsent);
      if (ready.length > 0) return ready[this.#turn % ready.length];
    }
    return undefined;
  }

  #fail(error: unknown): void {
    if (error instanceof TributaryError) this.#end(error);
    else this.#end(new TributaryError('BUSY', 'the uplink failed; it starts again', { cause: error }));
  }

  #end(error: TributaryError): void {
    this.#failure ??= error;
    this.#socket.terminate();
  }

  #send(message: object): void {
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.send(encodeControl(message));
  }
}

function syncUrl(serverUrl: string): URL {
  const url = new URL(SYNC_PATH, serverUrl);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  return url;
}

function parseMessage(data: Buffer): ServerMessage {
  let value: unknown;
  try {
    value = JSON.parse(data.toString('utf8'));
  } catch {
    throw protocolError('a control frame is not JSON');
  }
  const parsed = serverMessage.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw protocolError(`${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'malformed'}`);
}

function refusal(code: string, message: string): TributaryError {
  const known = Object.hasOwn(ERROR_CODES, code) ? (code as ErrorCode) : 'PROTOCOL_ERROR';
  return new TributaryError(known, message);
}

function unreachable(serverUrl: string, cause: Error): TributaryError {
  return new TributaryError('BUSY', `the server at ${serverUrl} cannot be reached: ${cause.message}`, {
    cause,
  });
}

function protocolError(reason: string): TributaryError {
  return new TributaryError('PROTOCOL_ERROR', `the server's frame is refused: ${reason}`);
}
