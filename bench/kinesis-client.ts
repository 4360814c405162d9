// What a client of the Kinesis API sends under measurement: signed requests over raw connections, and their bodies.
import { randomBytes } from 'node:crypto';
import { signRequest } from '../runtime/sigv4/sign.ts';
import { HttpConnection } from './http-connection.ts';
import type { Done } from './measure.ts';

export const KEYS = { accessKeyId: 'BENCHKEY', secretAccessKey: 'bench-secret' };
const TARGET = 'Kinesis_20131202';
const POLL_MS = 50;
const ACTIVE_MS = 60_000;

interface Signed {
  readonly second: number;
  readonly head: string;
}

/** Connections to one server. */
export class KinesisClient {
  readonly #port: number;
  readonly #connections: readonly HttpConnection[];
  readonly #idle: HttpConnection[];
  readonly #waiting: ((connection: HttpConnection) => void)[] = [];
  readonly #signed = new WeakMap<Buffer, Signed>();

  private constructor(port: number, connections: readonly HttpConnection[]) {
    this.#port = port;
    this.#connections = connections;
    this.#idle = [...connections];
  }

  static async open(port: number, connections = 1): Promise<KinesisClient> {
    const opening = Array.from({ length: connections }, () => HttpConnection.open(port));
    return new KinesisClient(port, await Promise.all(opening));
  }

  /** Runs `work` with connections of its own. */
  static async with<T>(
    port: number,
    connections: number,
    work: (client: KinesisClient) => Promise<T>,
  ): Promise<T> {
    const client = await KinesisClient.open(port, connections);
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }

  /** The reply's body as sent; waits for a connection. Throws what the server refused. */
  async send(operation: string, body: Buffer): Promise<Buffer> {
    const connection = this.#idle.pop() ?? (await this.#nextIdle());
    try {
      const { status, body: answer } = await connection.exchange(this.#headOf(operation, body), body);
      if (status === 200) return answer;
      throw new Error(`${operation}: ${status} ${answer.toString('utf8', 0, 300)}`);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#idle.push(connection);
      else next(connection);
    }
  }

  async call<T>(operation: string, input: object): Promise<T> {
    const answer = await this.send(operation, bodyOf(input));
    return (answer.length === 0 ? {} : JSON.parse(answer.toString())) as T;
  }

  async createStream(name: string, shards: number): Promise<{ StreamARN: string }> {
    await this.call('CreateStream', { StreamName: name, ShardCount: shards });
    const deadline = Date.now() + ACTIVE_MS;
    for (;;) {
      const { StreamDescription: found } = await this.call<{
        StreamDescription: { StreamStatus: string; StreamARN: string };
      }>('DescribeStream', { StreamName: name });
      if (found.StreamStatus === 'ACTIVE') return found;
      if (Date.now() > deadline) throw new Error(`${name} does not become ACTIVE`);
      await pause(POLL_MS);
    }
  }

  async registerConsumer(streamArn: string, name: string): Promise<string> {
    const { Consumer } = await this.call<{ Consumer: { ConsumerARN: string } }>('RegisterStreamConsumer', {
      StreamARN: streamArn,
      ConsumerName: name,
    });
    const deadline = Date.now() + ACTIVE_MS;
    for (;;) {
      const { ConsumerDescription: found } = await this.call<{
        ConsumerDescription: { ConsumerStatus: string };
      }>('DescribeStreamConsumer', { ConsumerARN: Consumer.ConsumerARN });
      if (found.ConsumerStatus === 'ACTIVE') return Consumer.ConsumerARN;
      if (Date.now() > deadline) throw new Error(`consumer ${name} does not become ACTIVE`);
      await pause(POLL_MS);
    }
  }

  #nextIdle(): Promise<HttpConnection> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Signed once a second and body: a client would send the same bytes, as the signature's time is in whole seconds. */
  #headOf(operation: string, body: Buffer): string {
    const second = Math.floor(Date.now() / 1000);
    const known = this.#signed.get(body);
    if (known?.second === second) return known.head;
    const head = headOf(this.#port, operation, body);
    this.#signed.set(body, { second, head });
    return head;
  }
}

/** Each of `callers` one request at a time, until the time is over. */
export async function together(
  callers: number,
  durationMs: number,
  step: (turn: number) => Promise<number>,
): Promise<Done> {
  const end = Date.now() + durationMs;
  let turn = 0;
  let units = 0;
  let failed = 0;
  const caller = async (): Promise<void> => {
    // One failure makes the run void: going on would only repeat it.
    while (Date.now() < end && failed === 0) {
      try {
        // Apart: `+=` would take the sum from before the wait.
        const done = await step(turn++);
        units += done;
      } catch (error) {
        failed += 1;
        process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
      }
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return { units, failed };
}

/** Random data and spread keys: nothing compresses, every shard gets its part. */
export function putRecordsBody(stream: string, count: number, recordBytes: number): Buffer {
  return bodyOf({
    StreamName: stream,
    Records: Array.from({ length: count }, () => randomRecord(recordBytes)),
  });
}

export function putRecordBody(stream: string, recordBytes: number): Buffer {
  return bodyOf({ StreamName: stream, ...randomRecord(recordBytes) });
}

export function bodyOf(input: object): Buffer {
  return Buffer.from(JSON.stringify(input));
}

export function shardId(index: number): string {
  return `shardId-${String(index).padStart(12, '0')}`;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Headers of a signed request, without its length. */
export function signedHeaders(port: number, operation: string, body: Buffer): Record<string, string> {
  const headers = {
    'content-type': 'application/x-amz-json-1.1',
    host: `127.0.0.1:${port}`,
    'x-amz-target': `${TARGET}.${operation}`,
  };
  const options = { region: 'us-east-1', service: 'kinesis', now: Date.now() };
  return signRequest({ method: 'POST', url: '/', headers, body }, KEYS, options);
}

/** Request line and headers with the empty line behind them. */
function headOf(port: number, operation: string, body: Buffer): string {
  const lines = Object.entries(signedHeaders(port, operation, body)).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  return `POST / HTTP/1.1\r\n${lines.join('')}content-length: ${body.length}\r\n\r\n`;
}

function randomRecord(recordBytes: number): { Data: string; PartitionKey: string } {
  return { Data: randomBytes(recordBytes).toString('base64'), PartitionKey: randomBytes(8).toString('hex') };
}
