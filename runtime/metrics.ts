// Counters, gauges and histograms of one program, written out in the Prometheus text format 0.0.4 or as OpenMetrics 1.0.

export type Labels = Readonly<Record<string, string>>;

interface Series {
  readonly labels: Labels;
  /** Of a histogram: the sum of what was observed. */
  value: number;
  /** Of a histogram: observations up to each bound, and all. */
  readonly counts?: number[];
}

interface Metric {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly series: Map<string, Series>;
  /** Of a histogram, ascending. */
  readonly bounds: readonly number[];
  read?: Read;
}

/** One value, or one for each set of labels. */
export type Read = () => number | readonly { readonly labels: Labels; readonly value: number }[];

/** Series of one metric; more distinct labels than this are counted under `other`. */
const SERIES_MAX = 10_000;
const NAME = /^[a-z][a-z0-9_]*$/;

export interface Counter {
  add(count: number, labels?: Labels): void;
}

export interface Gauge {
  set(value: number, labels?: Labels): void;
}

export interface Histogram {
  observe(value: number, labels?: Labels): void;
}

export const METRICS_FORMATS = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
} as const;

export type MetricsFormat = keyof typeof METRICS_FORMATS;

export class MetricsRegistry {
  readonly #metrics = new Map<string, Metric>();

  /** A total that only grows; its name ends in `_total`. */
  counter(name: string, help: string): Counter {
    const metric = this.#register(name, 'counter', help);
    return {
      add: (count, labels = {}) => {
        seriesOf(metric, labels).value += count;
      },
    };
  }

  gauge(name: string, help: string): Gauge {
    const metric = this.#register(name, 'gauge', help);
    return {
      set: (value, labels = {}) => {
        seriesOf(metric, labels).value = value;
      },
    };
  }

  /** How often values up to each of `bounds` (ascending) were seen. */
  histogram(name: string, help: string, bounds: readonly number[]): Histogram {
    const metric = this.#register(name, 'histogram', help, bounds);
    return {
      observe: (value, labels = {}) => {
        const series = seriesOf(metric, labels);
        series.value += value;
        const place = bounds.findIndex((bound) => value <= bound);
        const counts = series.counts ?? [];
        const at = place === -1 ? bounds.length : place;
        counts[at] = (counts[at] ?? 0) + 1;
      },
    };
  }

  /** A gauge that is read when the metrics are. */
  observe(name: string, help: string, read: Read): void {
    this.#register(name, 'gauge', help).read = read;
  }

  /** The exposition text, metrics by name. */
  render(format: MetricsFormat = 'prometheus'): string {
    const names = [...this.#metrics.keys()].toSorted();
    const texts = names.map((name) => renderMetric(name, this.#metrics.get(name), format));
    return texts.join('') + (format === 'openmetrics' ? '# EOF\n' : '');
  }

  #register(name: string, kind: Metric['kind'], help: string, bounds: readonly number[] = []): Metric {
    const known = this.#metrics.get(name);
    if (known?.kind === kind) return known;
    if (known !== undefined || !NAME.test(name))
      throw new TypeError(`metric ${name} is taken or no metric name`);
    const metric: Metric = { kind, help, bounds, series: new Map() };
    this.#metrics.set(name, metric);
    return metric;
  }
}

function seriesOf(metric: Metric, labels: Labels): Series {
  const key = keyOf(labels);
  const known = metric.series.get(key);
  if (known !== undefined) return known;
  if (metric.series.size >= SERIES_MAX && labels['overflow'] !== 'other')
    return seriesOf(metric, { overflow: 'other' });
  const isHistogram = metric.kind === 'histogram';
  const series: Series = {
    labels,
    value: 0,
    ...(isHistogram ? { counts: Array.from({ length: metric.bounds.length + 1 }, () => 0) } : {}),
  };
  metric.series.set(key, series);
  return series;
}

/** Counted for every message, so the usual one label costs one text. */
function keyOf(labels: Labels): string {
  const names = Object.keys(labels);
  if (names.length > 1) names.sort();
  return names.map((name) => `${name}\0${labels[name] ?? ''}`).join('\0');
}

function renderMetric(name: string, metric: Metric | undefined, format: MetricsFormat): string {
  if (metric === undefined) return '';
  // OpenMetrics names a counter without what its samples end in.
  const family = format === 'openmetrics' && metric.kind === 'counter' ? name.replace(/_total$/, '') : name;
  const head = `# HELP ${family} ${metric.help.replaceAll('\n', ' ')}\n# TYPE ${family} ${metric.kind}\n`;
  if (metric.kind === 'histogram') return head + renderHistogram(name, metric);
  const value = metric.read?.() ?? [...metric.series.values()];
  const series = typeof value === 'number' ? [{ labels: {}, value }] : value;
  return head + series.map(({ labels, value }) => `${name}${renderLabels(labels)} ${value}\n`).join('');
}

function renderHistogram(name: string, { bounds, series }: Metric): string {
  const lines: string[] = [];
  for (const { labels, value, counts = [] } of series.values()) {
    let count = 0;
    counts.forEach((more, place) => {
      count += more;
      const le = String(bounds[place] ?? '+Inf');
      lines.push(`${name}_bucket${renderLabels({ ...labels, le })} ${count}\n`);
    });
    lines.push(
      `${name}_sum${renderLabels(labels)} ${value}\n`,
      `${name}_count${renderLabels(labels)} ${count}\n`,
    );
  }
  return lines.join('');
}

/** Escapes as the format does: backslash, quote and line feed, nothing else. */
function renderLabels(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
