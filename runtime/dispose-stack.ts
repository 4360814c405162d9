// Closes what was opened, last first. Node 20 has no AsyncDisposableStack.

type Disposal = () => void | Promise<void>;

export class DisposeStack {
  /** Builds something of many parts; when it fails, what was opened is closed again. */
  static async building<T>(build: (parts: DisposeStack) => Promise<T>): Promise<T> {
    const parts = new DisposeStack();
    try {
      return await build(parts);
    } catch (error) {
      await parts.close();
      throw error;
    }
  }

  readonly #disposals: Disposal[] = [];
  #closing: Promise<void> | null = null;

  /** Registers a closable and returns it. */
  use<T extends { close(): void | Promise<void> }>(resource: T): T {
    this.defer(() => resource.close());
    return resource;
  }

  defer(disposal: Disposal): void {
    this.#disposals.push(disposal);
  }

  /** Idempotent. Every disposal runs; what failed is thrown together at the end. */
  close(): Promise<void> {
    this.#closing ??= this.#run();
    return this.#closing;
  }

  async #run(): Promise<void> {
    const errors: unknown[] = [];
    for (let next = this.#disposals.pop(); next !== undefined; next = this.#disposals.pop()) {
      try {
        await next();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length === 1) throw errors[0];
    if (errors.length > 1) throw new AggregateError(errors, `${errors.length} parts failed to close`);
  }
}
