// Watches a store for what its operator must know: a disk that failed, which nobody can go on after, and a full one.
// Every error passes through.
import { isTributaryError } from '../stream/errors.ts';
import type { Store } from '../stream/ports.ts';

/**
 * The same store; `onFailed` is called once, with the first STORAGE_FAILED that any call ends in, and `onFull` with every
 * STORAGE_FULL.
 */
export function guardStore(
  store: Store,
  onFailed: (error: Error) => void,
  onFull: (error: Error) => void = () => undefined,
): Store {
  let hasFailed = false;
  const look = (error: unknown): void => {
    if (isTributaryError(error, 'STORAGE_FULL')) onFull(error);
    if (hasFailed || !isTributaryError(error, 'STORAGE_FAILED')) return;
    hasFailed = true;
    onFailed(error);
  };
  return {
    log: guard(store.log, look),
    meta: guard(store.meta, look),
    usage: () => store.usage(),
    writtenBytes: () => store.writtenBytes(),
    nowMs: () => store.nowMs(),
    close: () => store.close(),
  };
}

function guard<T extends object>(target: T, look: (error: unknown) => void): T {
  return new Proxy(target, {
    get: (_target, name) => {
      // Methods run on the object itself: its private fields are not the proxy's.
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...parameters: unknown[]): unknown => {
        const result: unknown = Reflect.apply(member, target, parameters);
        // The caller handles the rejection as well: this is a second look at it.
        if (result instanceof Promise) result.catch(look);
        return result;
      };
    },
  });
}
