// A link that fails on demand: a TCP relay that can be cut, stalled and mended.
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

export class Relay {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #target: { host: string; port: number };
  #state: 'up' | 'cut' | 'stalled' = 'up';

  private constructor(server: Server, target: { host: string; port: number }) {
    this.#server = server;
    this.#target = target;
  }

  static open(targetUrl: string): Promise<Relay> {
    const url = new URL(targetUrl);
    const server = createServer({ allowHalfOpen: true });
    const relay = new Relay(server, { host: url.hostname, port: Number(url.port) });
    server.on('connection', (socket) => relay.#onConnection(socket));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(relay));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The target came back on another port. */
  retarget(targetUrl: string): void {
    const url = new URL(targetUrl);
    this.#target = { host: url.hostname, port: Number(url.port) };
  }

  /** Resets every connection and refuses new ones. */
  cut(): void {
    this.#state = 'cut';
    this.#reset();
  }

  /** Connections stay and carry nothing: the fault that only a timeout finds. */
  stall(): void {
    this.#state = 'stalled';
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  mend(): void {
    this.#state = 'up';
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  close(): Promise<void> {
    this.#reset();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #reset(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
    this.#pairs.clear();
  }

  #onConnection(near: Socket): void {
    near.on('error', () => near.destroy());
    if (this.#state === 'cut') {
      near.resetAndDestroy();
      return;
    }
    const far = connect(this.#target);
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [far, near]] as const) {
      from.on('error', () => to.destroy());
      from.once('close', () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
      from.pipe(to);
      if (this.#state === 'stalled') from.pause();
    }
  }
}
