// What holds for all streams of the account, as one Meta value (Kinesis API, UpdateAccountSettings).
import type { Clock, Meta } from '../../stream/ports.ts';

const KEY = 'account/settings';
const VERSION = 1;
/** Kinesis API, UpdateAccountSettings: a commitment holds for a day at least. */
const COMMITMENT_MIN_MS = 24 * 3_600_000;

/** To pay for a minimum of throughput: what it buys is warm throughput and more consumers. */
interface Commitment {
  readonly startedAtMs: number;
  /** Null: nobody has asked for its end. */
  readonly endsAtMs: number | null;
}

export class AccountSettings {
  readonly #meta: Meta;
  readonly #clock: Clock;
  #commitment: Commitment | null;

  private constructor(meta: Meta, clock: Clock, commitment: Commitment | null) {
    this.#meta = meta;
    this.#clock = clock;
    this.#commitment = commitment;
  }

  static async open(meta: Meta, clock: Clock): Promise<AccountSettings> {
    const stored = await meta.get(KEY);
    return new AccountSettings(meta, clock, stored === null ? null : decode(stored.value));
  }

  get isCommitted(): boolean {
    return this.#commitment !== null && this.#clock.wallMs() < (this.#commitment.endsAtMs ?? Infinity);
  }

  /** A new one starts now; one whose end was asked for goes on. */
  async commit(): Promise<void> {
    const startedAtMs = this.isCommitted ? this.#commitment?.startedAtMs : undefined;
    await this.#put({ startedAtMs: startedAtMs ?? this.#clock.wallMs(), endsAtMs: null });
  }

  /** Ends when it has held for the shortest time. */
  async endCommitment(): Promise<void> {
    if (this.#commitment === null || this.#commitment.endsAtMs !== null) return;
    const { startedAtMs } = this.#commitment;
    await this.#put({
      startedAtMs,
      endsAtMs: Math.max(this.#clock.wallMs(), startedAtMs + COMMITMENT_MIN_MS),
    });
  }

  describe(): object {
    if (this.#commitment === null) return { MinimumThroughputBillingCommitment: { Status: 'DISABLED' } };
    const { startedAtMs, endsAtMs } = this.#commitment;
    const earliest = { EarliestAllowedEndAt: (startedAtMs + COMMITMENT_MIN_MS) / 1000 };
    const state = !this.isCommitted
      ? { Status: 'DISABLED', EndedAt: (endsAtMs ?? 0) / 1000 }
      : { Status: endsAtMs === null ? 'ENABLED' : 'ENABLED_UNTIL_EARLIEST_ALLOWED_END', ...earliest };
    return { MinimumThroughputBillingCommitment: { ...state, StartedAt: startedAtMs / 1000 } };
  }

  async #put(commitment: Commitment): Promise<void> {
    await this.#meta.put(KEY, Buffer.from(JSON.stringify({ version: VERSION, commitment })), 'any');
    this.#commitment = commitment;
  }
}

/** Reads what #put wrote; the value comes from our own disk only. */
function decode(value: Uint8Array): Commitment | null {
  return (JSON.parse(Buffer.from(value).toString('utf8')) as { commitment: Commitment }).commitment;
}
