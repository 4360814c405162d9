// The text of an enrolment code, `XXXX-XXXX.PPPPPPPPPPPPPPPP`: a secret that works once, and the pin of the server
// that gave it, by which a gateway knows the server before it trusts it with anything.
import { createHash, randomBytes } from 'node:crypto';
import { TributaryError } from '../stream/errors.ts';

/** Without 0, O, 1 and I: codes are read aloud and typed. 32 symbols, 5 bits each. */
const ALPHABET = '23456789ABCDEFGHJKLMNPQRSTUVWXYZ';
const SECRET_SYMBOLS = 8;
const PIN_SYMBOLS = 16;
const CODE = new RegExp(`^([${ALPHABET}]{4})-?([${ALPHABET}]{4})\\.([${ALPHABET}]{${PIN_SYMBOLS}})$`);

export interface EnrolmentCode {
  /** `XXXX-XXXX`: what the server looks up. */
  readonly code: string;
  /** What `fingerprintOf` must give for the key the server shows. */
  readonly fingerprint: string;
}

/** The first 80 bits of SHA-256 over the key (SPKI, DER). */
export function fingerprintOf(publicKeyDer: Uint8Array): string {
  return symbols(createHash('sha256').update(publicKeyDer).digest(), PIN_SYMBOLS);
}

/** 40 random bits; guesses are counted and codes short-lived. */
export function newEnrolmentSecret(): string {
  const text = symbols(randomBytes(SECRET_SYMBOLS), SECRET_SYMBOLS);
  return `${text.slice(0, 4)}-${text.slice(4)}`;
}

export function composeEnrolmentCode({ code, fingerprint }: EnrolmentCode): string {
  return `${code}.${fingerprint}`;
}

const LOOKS = `an enrolment code looks like ABCD-EFGH.${'2'.repeat(PIN_SYMBOLS)}; copy it whole from: tributary enrol-code`;

/** Takes small letters, blanks around it and a missing hyphen. Throws ENROLMENT_CODE_INVALID. */
export function parseEnrolmentCode(text: string): EnrolmentCode {
  const parsed = parse(text);
  if (parsed !== null) return parsed;
  throw new TributaryError('ENROLMENT_CODE_INVALID', LOOKS);
}

/** What is wrong with the text of a code, null: nothing that can be seen without its server. */
export function enrolmentCodeProblem(text: string): string | null {
  return parse(text) === null ? LOOKS : null;
}

function parse(text: string): EnrolmentCode | null {
  const [, left, right, fingerprint] = CODE.exec(text.trim().toUpperCase()) ?? [];
  if (left === undefined || right === undefined || fingerprint === undefined) return null;
  return { code: `${left}-${right}`, fingerprint };
}

/** Most significant bits first. */
function symbols(bytes: Uint8Array, count: number): string {
  let text = '';
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    for (; bits >= 5 && text.length < count; bits -= 5) text += ALPHABET[(held >> (bits - 5)) & 31] ?? '';
    held &= 31;
  }
  return text;
}
