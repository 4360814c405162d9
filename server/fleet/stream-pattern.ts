// Which streams a gateway may feed: names, or beginnings of names that end in `*`.

export const DEFAULT_ALLOWED_STREAMS: readonly string[] = ['telemetry', 'telemetry.*'];
export const PATTERNS_MAX = 64;

const PATTERN = /^(?=.{1,128}$)([a-zA-Z0-9_.-]+\*?|\*)$/;

export function isStreamPattern(text: string): boolean {
  return PATTERN.test(text);
}

export function matchesAny(patterns: readonly string[], stream: string): boolean {
  return patterns.some((pattern) =>
    pattern.endsWith('*') ? stream.startsWith(pattern.slice(0, -1)) : stream === pattern,
  );
}
