// What a service offers to the wire: operations over checked inputs.
import type { Caller } from '../access/caller.ts';
import type { BodyCodec } from './body-codec.ts';
import type { WireResponse } from './listener.ts';
import type { ServiceModel, ValidatedInput } from './shape.ts';

/** The document of the reply, as `BodyCodec.write` takes it; undefined: an empty body of length 0. */
export type Operation = (input: ValidatedInput, caller: Caller) => Promise<object | undefined>;

/** Writes its reply itself, after the ordinary checks. What it throws before the first byte is answered as usual. */
export type StreamingOperation = (input: ValidatedInput, caller: Caller, reply: StreamReply) => Promise<void>;

export interface StreamReply {
  readonly response: WireResponse;
  /** The headers of every reply; the operation adds its own Content-Type. */
  readonly headers: Readonly<Record<string, string>>;
  /** Of the request, hence of what the stream carries. */
  readonly codec: BodyCodec;
}

export type OperationEntry =
  | { readonly input: string; readonly handle: Operation }
  | { readonly input: string; readonly stream: StreamingOperation };

export interface AwsService {
  readonly model: ServiceModel;
  readonly operations: Readonly<Record<string, OperationEntry>>;
}
