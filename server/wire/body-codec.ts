// The two encodings of bodies: how a request's bytes become a document, and a reply's document becomes bytes.
import type { CborWriter } from './cbor-writer.ts';
import type { JsonWriter } from './json-writer.ts';
import type { BodyScalars } from './scalar-types.ts';
import type { Shapes } from './shape.ts';

/** What a document is in a service's model. */
export interface DocumentShape {
  readonly shapes: Shapes;
  readonly name: string;
}

export interface BodyCodec {
  /** Content type, without parameters. */
  readonly mediaType: string;
  readonly scalars: BodyScalars;
  /** Undefined: the bytes are no map of this encoding. */
  parse(body: Uint8Array): object | undefined;
  /**
   * Timestamps of the document are seconds since 1970, as JSON writes them; the shape says which numbers are some. Members
   * that are undefined are left out. Absent shape: there are no timestamps.
   */
  write(document: object, shape?: DocumentShape): string | Uint8Array;
}

/** A member of a document that writes itself: for pages whose objects would live for one reply and cost half of it. */
export abstract class SelfWritten {
  abstract json(writer: JsonWriter): void;
  abstract cbor(writer: CborWriter): void;
}
