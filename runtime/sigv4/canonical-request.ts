// The canonical request: what both sides hash (AWS General Reference, Signature Version 4, task 1).
import { headerLookup, splitTarget } from './signable-request.ts';
import type { SignableRequest } from './signable-request.ts';

export function canonicalRequest(
  request: SignableRequest,
  signedHeaders: readonly string[],
  bodyHash: string,
): string {
  const { path, query } = splitTarget(request.url);
  const lookup = headerLookup(request.headers);
  const lines = signedHeaders.map((name) => `${name}:${canonicalValue(lookup(name))}\n`).join('');
  return [
    request.method,
    canonicalPath(path),
    canonicalQuery(query),
    lines,
    signedHeaders.join(';'),
    bodyHash,
  ].join('\n');
}

function canonicalValue(values: readonly string[]): string {
  return values.map((value) => value.trim().replace(/\s+/g, ' ')).join(',');
}

/** Dot segments and empty segments removed, then each segment encoded once more, as botocore does. */
function canonicalPath(path: string): string {
  if (path === '' || path === '/') return '/';
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue;
    if (segment === '..') kept.pop();
    else kept.push(encodeRfc3986(segment));
  }
  const joined = `/${kept.join('/')}`;
  return path.endsWith('/') && joined !== '/' ? `${joined}/` : joined;
}

function canonicalQuery(query: string): string {
  if (query === '') return '';
  return queryPairs(query)
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]): [string, string] => [encodeRfc3986(name), encodeRfc3986(value)])
    .toSorted((a, b) => compare(a[0], b[0]) || compare(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

export function queryPairs(query: string): [string, string][] {
  return query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const equals = pair.indexOf('=');
      if (equals < 0) return [decode(pair), ''];
      return [decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))];
    });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not valid percent-encoding: taken literally, the signature will not match.
    return text;
  }
}

function encodeRfc3986(text: string): string {
  return encodeURIComponent(Buffer.from(text).toString()).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

export function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
