// What an image must hold: between what was promised before the cut and what was asked for behind it.
import type { Said } from './said.ts';

export interface Expectation {
  /** The last line that was said before the cut; null: none. */
  readonly before: Said | null;
  /** One that was put together whole behind it. */
  readonly behind: Said;
}

/** Collects what is wrong in words. */
export class Problems {
  readonly texts: string[] = [];

  expect(holds: boolean, text: () => string): void {
    if (!holds && this.texts.length < PROBLEMS_MAX) this.texts.push(text());
  }
}

const PROBLEMS_MAX = 20;
