// One SubscribeToShard over HTTP/1.1: the events as they come.
import { request } from 'node:http';
import type { ClientRequest } from 'node:http';
import { bodyOf, signedHeaders } from './kinesis-client.ts';

export interface PushedRecord {
  /** base64 */
  readonly Data: string;
}

interface PushedEvent {
  readonly Records?: readonly PushedRecord[];
}

export interface SubscriptionTarget {
  readonly port: number;
  readonly consumerArn: string;
  readonly shardId: string;
}

/** Total length, length of the headers, their checksum. */
const PRELUDE_BYTES = 12;
const CHECKSUM_BYTES = 4;

/** A subscription from LATEST. `failure` is set once it ended by itself: what was measured then is void. */
export class Subscription {
  failure: Error | null = null;
  readonly #request: ClientRequest;
  #isClosed = false;

  private constructor(sent: ClientRequest) {
    this.#request = sent;
  }

  /** Until the first message, behind which nothing is missed. */
  static open(
    target: SubscriptionTarget,
    onRecords: (records: readonly PushedRecord[]) => void,
  ): Promise<Subscription> {
    const body = bodyOf({
      ConsumerARN: target.consumerArn,
      ShardId: target.shardId,
      StartingPosition: { Type: 'LATEST' },
    });
    const headers = signedHeaders(target.port, 'SubscribeToShard', body);
    const options = {
      port: target.port,
      host: '127.0.0.1',
      method: 'POST',
      path: '/',
      agent: false,
      headers,
    };
    return new Promise((resolve, reject) => {
      const sent = request(options, (response) => {
        const subscription = new Subscription(sent);
        const messages = new Messages((payload) => {
          resolve(subscription);
          const { Records: records = [] } = JSON.parse(payload.toString()) as PushedEvent;
          if (records.length > 0) onRecords(records);
        });
        response.on('data', (chunk: Buffer) => {
          if (response.statusCode === 200) messages.take(chunk);
          else
            reject(new Error(`SubscribeToShard: ${response.statusCode} ${chunk.toString().slice(0, 300)}`));
        });
        response.once('close', () => subscription.#ended(new Error('a subscription ended')));
      });
      sent.once('error', reject);
      sent.end(body);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#request.destroy();
  }

  #ended(error: Error): void {
    if (!this.#isClosed) this.failure = error;
  }
}

/** Cuts a stream of bytes into messages of the event stream encoding. */
class Messages {
  readonly #onPayload: (payload: Buffer) => void;
  #rest: Buffer = Buffer.alloc(0);

  constructor(onPayload: (payload: Buffer) => void) {
    this.#onPayload = onPayload;
  }

  take(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (bytes.length >= PRELUDE_BYTES && bytes.length >= bytes.readUInt32BE(0)) {
      const total = bytes.readUInt32BE(0);
      this.#onPayload(bytes.subarray(PRELUDE_BYTES + bytes.readUInt32BE(4), total - CHECKSUM_BYTES));
      bytes = bytes.subarray(total);
    }
    this.#rest = bytes;
  }
}
