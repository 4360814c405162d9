// Counters and gauges of one program, written out in the Prometheus text format 0.0.4.

export type Labels = Readonly<Record<string, string>>;

interface Series {
  readonly labels: Labels;
  value: number;
}

interface Metric {
  readonly kind: 'counter' | 'gauge';
  readonly help: string;
  readonly series: Map<string, Series>;
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

  /** A gauge that is read when the metrics are. */
  observe(name: string, help: string, read: Read): void {
    this.#register(name, 'gauge', help).read = read;
  }

  /** The exposition text, metrics by name. */
  render(): string {
    const names = [...this.#metrics.keys()].toSorted();
    return names.map((name) => renderMetric(name, this.#metrics.get(name))).join('');
  }

  #register(name: string, kind: Metric['kind'], help: string): Metric {
    const known = this.#metrics.get(name);
    if (known?.kind === kind) return known;
    if (known !== undefined || !NAME.test(name))
      throw new TypeError(`metric ${name} is taken or no metric name`);
    const metric: Metric = { kind, help, series: new Map() };
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
  const series = { labels, value: 0 };
  metric.series.set(key, series);
  return series;
}

/** Counted for every message, so the usual one label costs one text. */
function keyOf(labels: Labels): string {
  const names = Object.keys(labels);
  if (names.length > 1) names.sort();
  return names.map((name) => `${name}\0${labels[name] ?? ''}`).join('\0');
}

function renderMetric(name: string, metric: Metric | undefined): string {
  if (metric === undefined) return '';
  const value = metric.read?.() ?? [...metric.series.values()];
  const series = typeof value === 'number' ? [{ labels: {}, value }] : value;
  const lines = series.map(({ labels, value }) => `${name}${renderLabels(labels)} ${value}\n`);
  return `# HELP ${name} ${metric.help.replaceAll('\n', ' ')}\n# TYPE ${name} ${metric.kind}\n${lines.join('')}`;
}

function renderLabels(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}
