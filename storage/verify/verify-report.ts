// What a verification found: counts by stream, and every damage in words an operator can act on.

const VERIFY_SCHEMA = 'tributary.log-verify/1';
/** A broken disk breaks many blocks: beyond this they are only counted. */
const DAMAGE_MAX = 1_000;

export type DamageKind =
  | 'missing-file'
  | 'empty-file'
  | 'not-a-store'
  | 'unreadable'
  | 'format'
  | 'shard-row'
  | 'lane-row'
  | 'map-row'
  | 'free-list'
  | 'rows-missing'
  | 'block-missing'
  | 'block-damaged'
  | 'envelope-damaged'
  | 'counts'
  | 'orphan-blocks'
  | 'more';

export interface Damage {
  readonly kind: DamageKind;
  /** `stream id/shard id`, null when it concerns the file. */
  readonly shard: string | null;
  readonly detail: string;
}

export interface StreamCount {
  readonly records: number;
  /** Absent when none are. */
  readonly lostRecords?: number;
}

export interface VerifyReport {
  readonly schema: typeof VERIFY_SCHEMA;
  readonly ok: boolean;
  readonly records: number;
  readonly bytes: number;
  /** Of a store that was repaired: records that could not be brought back, and are known to be missing. */
  readonly lostRecords: number;
  readonly streams: Readonly<Record<string, StreamCount>>;
  readonly damage: readonly Damage[];
}

export class ReportBuilder {
  #bytes = 0;
  readonly #streams = new Map<string, { records: number; lostRecords: number }>();
  readonly #damage: Damage[] = [];
  #damageCount = 0;

  count(stream: string, records: number, bytes: number, lostRecords = 0): void {
    const counted = this.#streams.get(stream) ?? { records: 0, lostRecords: 0 };
    this.#streams.set(stream, {
      records: counted.records + records,
      lostRecords: counted.lostRecords + lostRecords,
    });
    this.#bytes += bytes;
  }

  damage(kind: DamageKind, shard: string | null, detail: string): void {
    this.#damageCount += 1;
    if (this.#damage.length < DAMAGE_MAX) this.#damage.push({ kind, shard, detail });
  }

  /** Takes over what another report found. */
  add(report: VerifyReport): void {
    for (const [name, { records, lostRecords }] of Object.entries(report.streams))
      this.count(name, records, 0, lostRecords);
    this.#bytes += report.bytes;
    for (const { kind, shard, detail } of report.damage) this.damage(kind, shard, detail);
  }

  report(): VerifyReport {
    const more = this.#damageCount - this.#damage.length;
    const rest: Damage[] =
      more === 0 ? [] : [{ kind: 'more', shard: null, detail: `${more} more were found and not listed` }];
    return {
      schema: VERIFY_SCHEMA,
      ok: this.#damageCount === 0,
      records: this.#sum('records'),
      bytes: this.#bytes,
      lostRecords: this.#sum('lostRecords'),
      streams: Object.fromEntries([...this.#streams].map(([name, count]) => [name, shown(count)])),
      damage: [...this.#damage, ...rest],
    };
  }
  #sum(count: 'records' | 'lostRecords'): number {
    return [...this.#streams.values()].reduce((sum, stream) => sum + stream[count], 0);
  }
}

function shown({ records, lostRecords }: Required<StreamCount>): StreamCount {
  return lostRecords === 0 ? { records } : { records, lostRecords };
}
