// The parts of an HTTP request that a signature covers, as they travel.

export type HeaderValues = Readonly<Record<string, string | readonly string[] | undefined>>;

/** A request as it travels. `url` is the request target (path and query) or, when signing, an absolute URL. */
export interface SignableRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: HeaderValues;
}

/** Keeps repeated headers apart: `headers` of node:http joins them with `, ` where the signature wants `,`. */
export function headersFromRaw(rawHeaders: readonly string[]): Record<string, string[]> {
  const headers: Record<string, string[]> = Object.create(null) as Record<string, string[]>;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase();
    const values = headers[name];
    if (values === undefined) headers[name] = [rawHeaders[at + 1] ?? ''];
    else values.push(rawHeaders[at + 1] ?? '');
  }
  return headers;
}

/** Over HTTP/2 one of `host` and `:authority` is missing and a client may have signed either. */
export function headerLookup(headers: HeaderValues): (name: string) => readonly string[] {
  const values = (name: string): readonly string[] => {
    const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
    if (value === undefined) return [];
    return typeof value === 'string' ? [value] : value;
  };
  return (name) => {
    const own = values(name);
    if (own.length > 0) return own;
    if (name === 'host') return values(':authority');
    return name === ':authority' ? values('host') : own;
  };
}

export function splitTarget(url: string): { path: string; query: string } {
  const target = url.startsWith('/') ? url : url.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i, '');
  const mark = target.indexOf('?');
  return mark < 0
    ? { path: target, query: '' }
    : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}
