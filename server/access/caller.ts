// Who sent a request, proven by its signature, and how that is found out.
import type { SignableRequest } from '../../runtime/sigv4/signable-request.ts';
import type { Origin } from '../wire/origin.ts';
import type { Principal } from './principal.ts';

export interface Caller extends Origin {
  readonly accessKeyId: string;
  readonly principal: Principal;
}

/** `service` is the name that the signature must be scoped to. Throws SigV4Error or ServiceError. */
export type Verify = (
  request: SignableRequest,
  body: Uint8Array,
  service: string,
  origin: Origin,
) => Caller | Promise<Caller>;
