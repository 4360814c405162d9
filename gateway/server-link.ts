// The gateway's tie to its server: redeems the enrolment code when there is one, then keeps the uplink running.
import { assert, isTributaryError } from '../stream/errors.ts';
import type { TributaryError } from '../stream/errors.ts';
import { enrol } from '../sync/enrol-client.ts';
import type { GatewayIdentity } from '../sync/ports.ts';
import { Backoff } from '../sync/reconnect.ts';
import { pause } from '../sync/pause.ts';
import { Uplink } from '../sync/uplink.ts';
import type { LinkStatus } from '../sync/uplink.ts';
import type { UplinkParts } from '../sync/uplink-session.ts';
import type { IdentityStore } from './identity-store.ts';

export interface ServerLinkParts extends Omit<UplinkParts, 'identity'> {
  readonly identities: IdentityStore;
  /** What the operator calls this gateway. */
  readonly name: string;
  /** The server has said what time it is. */
  readonly onServerTime: (wallMs: number) => void;
  /** The server refuses the code for good. */
  readonly onRefused: (error: TributaryError) => void;
}

export interface ServerLinkStatus extends Omit<LinkStatus, 'state'> {
  readonly state: LinkStatus['state'] | 'buffering' | 'enrolling';
  readonly gateway: string | null;
  readonly serverUrl: string | null;
}

export class ServerLink {
  readonly #parts: ServerLinkParts;
  readonly #stop = new AbortController();
  readonly #startedMs: number;
  #uplink: Uplink | null = null;
  #running: Promise<void> | null = null;
  #enrolReason: ServerLinkStatus['reason'] = null;

  constructor(parts: ServerLinkParts) {
    this.#parts = parts;
    this.#startedMs = parts.clock.wallMs();
  }

  start(): void {
    this.#running ??= this.#run();
  }

  get status(): ServerLinkStatus {
    const { identity, pending } = this.#parts.identities;
    const gateway = identity?.gateway ?? null;
    const serverUrl = identity?.serverUrl ?? pending?.serverUrl ?? null;
    if (this.#uplink !== null) return { ...this.#uplink.status, gateway, serverUrl };
    return {
      state: pending === null ? 'buffering' : 'enrolling',
      reason: this.#enrolReason,
      sinceMs: this.#startedMs,
      acknowledgedBytes: 0,
      serverMinusLocalMs: null,
      gateway,
      serverUrl,
    };
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#uplink?.close();
  }

  async #run(): Promise<void> {
    const { identities, log } = this.#parts;
    if (identities.pending !== null) await this.#enrol();
    if (identities.identity === null) {
      if (identities.pending === null)
        log.notice('not enrolled: records are buffered only', {
          fix: 'make a code at the server with: tributary enrol-code, and start with --server URL --enrol CODE',
        });
      return;
    }
    if (this.#stop.signal.aborted) return;
    this.#uplink = new Uplink({
      ...this.#parts,
      identity: () => this.#identity(),
      onStranger: () => this.#enrolAnew(),
    });
    this.#uplink.start();
  }

  #identity(): GatewayIdentity {
    const { identity } = this.#parts.identities;
    assert(identity !== null, 'an uplink has an identity');
    return identity;
  }

  /** With the code the operator gave for it, if there is one. What the gateway is changes only when that succeeds. */
  async #enrolAnew(): Promise<void> {
    const { identities, name, log } = this.#parts;
    const { spare } = identities;
    if (spare === null) return;
    try {
      await identities.complete(await enrol({ ...spare, name }, this.#stop.signal));
      log.notice('enrolled anew', { gateway: identities.identity?.gateway, server: spare.serverUrl });
    } catch (error) {
      if (!isTributaryError(error)) throw error;
      if (!error.retryable) identities.dropSpare();
      log.error('not enrolled anew', { code: error.code, message: error.message });
    }
  }

  /** Until the server answers; what it refuses for good is the operator's to mend. */
  async #enrol(): Promise<void> {
    const { identities, name, log, random } = this.#parts;
    const backoff = new Backoff(random);
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const { pending } = identities;
      if (pending === null) return;
      try {
        await identities.complete(await enrol({ ...pending, name }, signal));
        log.notice('enrolled', { gateway: identities.identity?.gateway, server: pending.serverUrl });
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!isTributaryError(error)) throw error;
        if (!error.retryable) return await this.#giveUp(error);
        if (this.#enrolReason?.message !== error.message)
          log.warn('not enrolled yet', { message: error.message });
        this.#enrolReason = { code: error.code, message: error.message };
      }
      await pause(backoff.nextDelayMs(), signal);
    }
  }

  /** The code is forgotten first: kept, it would end every later start the same way. */
  async #giveUp(error: TributaryError): Promise<void> {
    const { identities, log, onRefused } = this.#parts;
    try {
      await identities.dropPending();
    } catch (failure) {
      log.error('the refused code could not be forgotten', { error: failure });
    }
    onRefused(error);
  }
}
