// What a benchmark hands over: a table for people, and the figures it was made of for programs.
import { loadavg } from 'node:os';

export interface Section {
  readonly markdown: string;
  /** What `--json` prints. */
  readonly figures: unknown;
}

export interface Table {
  readonly title: string;
  /** Markdown between the title and the table. */
  readonly note?: string;
  readonly heads: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export function section({ title, note, heads, rows }: Table, figures: object): Section {
  const lines = [heads, heads.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  const load = loadavg();
  const text = load.map((value) => value.toFixed(2)).join(' ');
  return {
    markdown: [`### ${title}`, note, lines.join('\n'), `Load average at the end: ${text}.`, '']
      .filter((part) => part !== undefined)
      .join('\n\n'),
    figures: { title, loadAverage: load, ...figures },
  };
}
