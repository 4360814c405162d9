// Keeps a session with the server whenever there is a network, for as long as the program runs.
import type { TributaryError } from '../stream/errors.ts';
import { isTributaryError } from '../stream/errors.ts';
import { pause } from './pause.ts';
import { Backoff } from './reconnect.ts';
import { runUplinkSession } from './uplink-session.ts';
import type { UplinkParts } from './uplink-session.ts';

/** A session was good that delivered something, or that lasted: a welcome alone may be followed by a refusal. */
const GOOD_SESSION_US = 30_000_000n;
const STRANGERS: readonly string[] = ['GATEWAY_UNKNOWN', 'SERVER_UNTRUSTED'];

export interface LinkStatus {
  readonly state: 'connecting' | 'online' | 'offline' | 'closed';
  /** Why it is offline; null while it is not. */
  readonly reason: { readonly code: string; readonly message: string } | null;
  readonly sinceMs: number;
  readonly acknowledgedBytes: number;
  /** How far the server's clock is ahead of ours, as of the last welcome. */
  readonly serverMinusLocalMs: number | null;
}

export interface UplinkEvents {
  /** The server does not know this gateway, or is not the one it was enrolled at. */
  onStranger(): Promise<void>;
  /** The server has just said what time it is, milliseconds since 1970. */
  onServerTime(wallMs: number): void;
}

export class Uplink {
  readonly #parts: UplinkParts & UplinkEvents;
  readonly #backoff: Backoff;
  readonly #stop = new AbortController();
  #running: Promise<void> | null = null;
  #status: LinkStatus;

  constructor(parts: UplinkParts & UplinkEvents) {
    this.#parts = parts;
    this.#backoff = new Backoff(parts.random);
    this.#status = {
      state: 'connecting',
      reason: null,
      sinceMs: parts.clock.wallMs(),
      acknowledgedBytes: 0,
      serverMinusLocalMs: null,
    };
  }

  get status(): LinkStatus {
    return this.#status;
  }

  start(): void {
    this.#running ??= this.#run(this.#stop.signal);
  }

  /** Idempotent. What the server has not acknowledged is sent again next time. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#become('closed', null);
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startedUs = this.#parts.clock.monotonicUs();
      try {
        await runUplinkSession(
          this.#parts,
          {
            onWelcome: (serverMinusLocalMs) => this.#welcome(serverMinusLocalMs),
            onAcknowledged: (bytes) => {
              this.#backoff.reset();
              this.#status = { ...this.#status, acknowledgedBytes: this.#status.acknowledgedBytes + bytes };
            },
          },
          signal,
        );
      } catch (error) {
        if (!isTributaryError(error)) throw error;
        if (this.#parts.clock.monotonicUs() - startedUs > GOOD_SESSION_US) this.#backoff.reset();
        this.#offline(error);
        if (STRANGERS.includes(error.code)) await this.#parts.onStranger();
      }
      await pause(this.#backoff.nextDelayMs(), signal);
    }
  }

  #welcome(serverMinusLocalMs: number): void {
    this.#status = { ...this.#status, serverMinusLocalMs };
    this.#parts.onServerTime(this.#parts.clock.wallMs() + serverMinusLocalMs);
    this.#become('online', null);
    this.#parts.log.notice('uplink online', { server: this.#parts.identity().serverUrl });
  }

  /** Logged when the reason changes, not at every attempt. */
  #offline(error: TributaryError): void {
    const isNews = this.#status.state !== 'offline' || this.#status.reason?.code !== error.code;
    if (isNews) this.#parts.log.warn('uplink offline', { code: error.code, message: error.message });
    this.#become('offline', { code: error.code, message: error.message });
  }

  #become(state: LinkStatus['state'], reason: LinkStatus['reason']): void {
    const sinceMs = state === this.#status.state ? this.#status.sinceMs : this.#parts.clock.wallMs();
    this.#status = { ...this.#status, state, reason, sinceMs };
  }
}
