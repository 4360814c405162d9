// The way out to one subscriber: writes packets, tells when it is congested, ends a connection that takes nothing.
import type { Socket } from 'node:net';
import { publishHead } from './publish-bytes.ts';
import type { OutgoingPublish } from './publish-bytes.ts';

/** Smaller payloads are copied behind their head: one write instead of two. */
const JOIN_BYTES_MAX = 1024;

export class Outlet {
  readonly #socket: Socket;
  readonly #drainTimeoutMs: number;
  readonly #waiting: (() => void)[] = [];
  #timer: NodeJS.Timeout | null = null;
  #onStalled: () => void;

  constructor(socket: Socket, drainTimeoutMs: number, onStalled: () => void) {
    this.#socket = socket;
    this.#drainTimeoutMs = drainTimeoutMs;
    this.#onStalled = onStalled;
  }

  /** Bytes written and not yet taken by the system. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  get isOpen(): boolean {
    return this.#socket.writable;
  }

  get isCongested(): boolean {
    return this.#socket.writableNeedDrain;
  }

  publish(packet: OutgoingPublish): void {
    const head = publishHead(packet);
    if (packet.payload.length <= JOIN_BYTES_MAX) {
      this.write(Buffer.concat([head, packet.payload]));
      return;
    }
    this.#socket.cork();
    this.#socket.write(head);
    this.write(packet.payload);
    this.#socket.uncork();
  }

  write(bytes: Buffer): void {
    if (!this.isOpen) return;
    if (this.#socket.write(bytes)) return;
    this.#timer ??= setTimeout(() => this.#stalled(), this.#drainTimeoutMs).unref();
  }

  /** Called once it is not congested, or closed: at once if so now. */
  whenFree(callback: () => void): void {
    if (this.isCongested && this.isOpen) this.#waiting.push(callback);
    else setImmediate(callback);
  }

  /** To be called on `drain`. */
  drained(): void {
    this.#stopTimer();
    for (const callback of this.#waiting.splice(0)) callback();
  }

  close(): void {
    this.drained();
  }

  #stalled(): void {
    this.#timer = null;
    this.#onStalled();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
