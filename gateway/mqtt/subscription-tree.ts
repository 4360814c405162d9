// Which persistent sessions a topic goes to: filters by level, one row per client with the highest QoS it asked for.

type GrantedQos = 1 | 2;

interface Level {
  readonly below: Map<string, Level>;
  /** By client id, of filters that end here. */
  readonly clients: Map<string, GrantedQos>;
}

export class SubscriptionTree {
  readonly #root: Level = emptyLevel();

  add(filter: string, clientId: string, qos: GrantedQos): void {
    let level = this.#root;
    for (const name of filter.split('/')) {
      let next = level.below.get(name);
      if (next === undefined) {
        next = emptyLevel();
        level.below.set(name, next);
      }
      level = next;
    }
    level.clients.set(clientId, qos);
  }

  remove(filter: string, clientId: string): void {
    const path: { readonly level: Level; readonly name: string }[] = [];
    let level = this.#root;
    for (const name of filter.split('/')) {
      path.push({ level, name });
      const next = level.below.get(name);
      if (next === undefined) return;
      level = next;
    }
    level.clients.delete(clientId);
    for (const step of path.toReversed()) {
      const child = step.level.below.get(step.name);
      if (child === undefined || child.clients.size > 0 || child.below.size > 0) return;
      step.level.below.delete(step.name);
    }
  }

  /** Highest QoS per client over all its filters that match. */
  match(topic: string): ReadonlyMap<string, GrantedQos> {
    const found = new Map<string, GrantedQos>();
    const names = topic.split('/');
    this.#collect(this.#root, names, 0, found);
    return found;
  }

  #collect(level: Level, names: readonly string[], depth: number, found: Map<string, GrantedQos>): void {
    const name = names[depth];
    // A leading wildcard never matches a topic of the broker's own.
    const mayBeWild = depth > 0 || !names[0]?.startsWith('$');
    const rest = mayBeWild ? level.below.get('#') : undefined;
    if (rest !== undefined) gather(rest, found);
    if (name === undefined) {
      gather(level, found);
      return;
    }
    const any = mayBeWild ? level.below.get('+') : undefined;
    if (any !== undefined) this.#collect(any, names, depth + 1, found);
    const exact = name === '+' || name === '#' ? undefined : level.below.get(name);
    if (exact !== undefined) this.#collect(exact, names, depth + 1, found);
  }
}

function emptyLevel(): Level {
  return { below: new Map(), clients: new Map() };
}

function gather(level: Level, found: Map<string, GrantedQos>): void {
  for (const [clientId, qos] of level.clients) {
    if (qos > (found.get(clientId) ?? 0)) found.set(clientId, qos);
  }
}
