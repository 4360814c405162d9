// One keep-alive connection of a load generator: bytes of a request out, a reply in, one at a time. Raw, because an HTTP
// client costs as much as the server it measures.
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export interface Reply {
  readonly status: number;
  readonly body: Buffer;
}

interface Head {
  readonly status: number;
  /** Bytes up to the body. */
  readonly bytes: number;
  /** undefined: the body is chunked. */
  readonly bodyBytes: number | undefined;
}

const LAST_CHUNK = Buffer.from('0\r\n\r\n');
const HEAD_END = '\r\n\r\n';

export class HttpConnection {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #head: Head | null = null;
  #waiting: { resolve(reply: Reply): void; reject(error: Error): void } | null = null;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed a connection')));
  }

  static open(port: number): Promise<HttpConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.removeListener('error', reject);
        resolve(new HttpConnection(socket));
      });
    });
  }

  exchange(head: string, body: Buffer): Promise<Reply> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.cork();
      this.#socket.write(head, 'latin1');
      this.#socket.write(body);
      this.#socket.uncork();
    });
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    const head = (this.#head ??= headOf(this.#chunks));
    if (head === null) return;
    const isWhole =
      head.bodyBytes === undefined ? endsChunked(chunk) : this.#bytes >= head.bytes + head.bodyBytes;
    if (!isWhole) return;
    const raw = Buffer.concat(this.#chunks).subarray(head.bytes);
    this.#chunks = [];
    this.#bytes = 0;
    this.#head = null;
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.resolve({ status: head.status, body: head.bodyBytes === undefined ? unchunked(raw) : raw });
  }

  #fail(error: Error): void {
    this.#waiting?.reject(error);
    this.#waiting = null;
  }
}

function headOf(chunks: readonly Buffer[]): Head | null {
  const text = Buffer.concat(chunks).toString('latin1');
  const end = text.indexOf(HEAD_END);
  if (end < 0) return null;
  const lines = text.slice(0, end);
  const length = /^content-length: *(\d+)/im.exec(lines)?.[1];
  return {
    status: Number(lines.slice(9, 12)),
    bytes: end + HEAD_END.length,
    bodyBytes: length === undefined ? undefined : Number(length),
  };
}

/** The next request is not sent before: nothing can follow the last chunk. */
function endsChunked(chunk: Buffer): boolean {
  return chunk.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK);
}

function unchunked(raw: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < raw.length;) {
    const lineEnd = raw.indexOf('\r\n', at);
    const size = Number.parseInt(raw.toString('latin1', at, lineEnd), 16);
    if (!(size > 0)) break;
    parts.push(raw.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
  return Buffer.concat(parts);
}
