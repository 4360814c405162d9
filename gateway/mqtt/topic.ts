// MQTT topic names and filters: what is legal (MQTT 3.1.1, 4.7) and what matches what.

/** A topic travels with a 16-bit length. */
const TOPIC_BYTES_MAX = 65_535;
/** Deeper topics are refused: aedes' matcher throws beyond it. */
export const TOPIC_LEVELS_MAX = 100;

/** Why a client may not publish to this topic, or null. */
export function topicProblem(topic: string): string | null {
  const problem = textProblem(topic, 'topic');
  if (problem !== null) return problem;
  if (/[+#]/.test(topic)) return 'a topic name holds no wildcard';
  return topic.startsWith('$') ? 'topics beginning with $ are reserved for the broker' : null;
}

/** Why this is no topic filter, or null. */
export function filterProblem(filter: string): string | null {
  const problem = textProblem(filter, 'topic filter');
  if (problem !== null) return problem;
  const levels = filter.split('/');
  const last = levels.length - 1;
  for (const [index, level] of levels.entries()) {
    if (level.includes('#') && (level !== '#' || index !== last))
      return '`#` is a whole level and the last one';
    if (level.includes('+') && level !== '+') return '`+` is a whole level';
  }
  return null;
}

/** Both are legal. `#` matches its parent level too; a leading wildcard never matches `$…`. */
export function topicMatches(filter: string, topic: string): boolean {
  if (topic.startsWith('$') && /^[+#]/.test(filter)) return false;
  const wanted = filter.split('/');
  const levels = topic.split('/');
  for (const [index, level] of wanted.entries()) {
    if (level === '#') return true;
    if (index >= levels.length) return false;
    if (level !== '+' && level !== levels[index]) return false;
  }
  return wanted.length === levels.length;
}

function textProblem(text: string, what: string): string | null {
  if (text.length === 0) return `the ${what} is empty`;
  if (text.includes('\0')) return `the ${what} holds U+0000`;
  // mqtt-packet decodes leniently: bytes that were no UTF-8 arrive as U+FFFD, and nobody names a topic that.
  if (/[\ud800-\udfff\ufffd]/u.test(text)) return `the ${what} is not valid UTF-8`;
  if (Buffer.byteLength(text) > TOPIC_BYTES_MAX) return `the ${what} is longer than ${TOPIC_BYTES_MAX} bytes`;
  if (text.split('/').length > TOPIC_LEVELS_MAX)
    return `the ${what} has more than ${TOPIC_LEVELS_MAX} levels`;
  return null;
}
