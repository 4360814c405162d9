// A reply that is a stream of events: it goes on until one side ends it, and never faster than the client takes it.
import type { BodyCodec, DocumentShape } from './body-codec.ts';
import { eventMessage } from './event-stream.ts';
import type { EventHeaders } from './event-stream.ts';
import type { WireResponse } from './http-servers.ts';
import type { StreamReply } from './operation.ts';
import { isGone, writeHead } from './reply.ts';
import type { ServiceError } from './service-error.ts';

const CONTENT_TYPE = 'application/vnd.amazon.eventstream';
/** How long a client may take for what is still on its way to it when the stream has ended. */
const ENDING_MS = 5_000;

export class EventReply {
  readonly #response: WireResponse;
  readonly #codec: BodyCodec;
  readonly #gone = new AbortController();
  #isBlocked = false;

  /** Sends the headers and the first message, which clients wait for: from now on errors are messages, too. */
  static open(reply: StreamReply): EventReply {
    const events = new EventReply(reply);
    if (isGone(reply.response)) events.#gone.abort();
    else events.#begin(reply.headers);
    return events;
  }

  private constructor({ response, codec }: StreamReply) {
    this.#response = response;
    this.#codec = codec;
    response.once('close', () => this.#gone.abort());
    // Whatever it is, `close` follows.
    response.on('error', () => undefined);
    response.on('drain', () => {
      this.#isBlocked = false;
    });
  }

  /** Aborts when the client is gone. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** The client has not taken yet what it was sent. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** Resolves when the client may be sent more, or the signal aborts. */
  async send(type: string, document: object, shape: DocumentShape, signal: AbortSignal): Promise<void> {
    if (this.gone.aborted || signal.aborted) return;
    this.#write({ ':message-type': 'event', ':event-type': type }, document, shape);
    if (this.#isBlocked) await this.#drained(signal);
  }

  /** Ends the stream with an exception. */
  fail(type: string, error: ServiceError): void {
    if (this.gone.aborted) return;
    this.#write({ ':message-type': 'exception', ':exception-type': type }, { message: error.message });
    this.end();
  }

  end(): void {
    if (this.gone.aborted) return;
    const { gone } = this;
    const deadline = setTimeout(() => this.#response.destroy(), ENDING_MS);
    gone.addEventListener('abort', () => clearTimeout(deadline));
    this.#response.end();
  }

  #begin(headers: StreamReply['headers']): void {
    writeHead(this.#response, 200, { ...headers, 'Content-Type': CONTENT_TYPE });
    this.#write({ ':message-type': 'event', ':event-type': 'initial-response' }, {});
  }

  #write(headers: EventHeaders, document: object, shape?: DocumentShape): void {
    const written = this.#codec.write(document, shape);
    const payload = typeof written === 'string' ? Buffer.from(written) : written;
    const message = eventMessage({ ...headers, ':content-type': this.#codec.mediaType }, payload);
    this.#isBlocked = !writeTo(this.#response, message);
  }

  #drained(signal: AbortSignal): Promise<void> {
    const signals = [signal, this.gone];
    return new Promise((resolve) => {
      const done = (): void => {
        this.#response.off('drain', done);
        for (const one of signals) one.removeEventListener('abort', done);
        resolve();
      };
      this.#response.once('drain', done);
      for (const one of signals) one.addEventListener('abort', done);
    });
  }
}

/** The two classes' `write` have no common signature. */
function writeTo(response: WireResponse, bytes: Uint8Array): boolean {
  return 'createPushResponse' in response ? response.write(bytes) : response.write(bytes);
}
