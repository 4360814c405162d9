// Why a policy document is refused: where it is wrong, and what would be right.

export class PolicyError extends Error {
  /** Like `Statement[0].Action`; empty: the document itself. */
  readonly path: string;

  constructor(path: string, reason: string) {
    super(path === '' ? reason : `${path}: ${reason}`);
    this.name = 'PolicyError';
    this.path = path;
  }
}
