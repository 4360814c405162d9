// Where a request came from, and the id it is known by.
import type { WireRequest } from './listener.ts';

export interface Origin {
  /** IP address without a port; an IPv4 address of a dual-stack socket as IPv4. Empty when the client is gone. */
  readonly sourceAddress: string;
  /** It came over TLS. */
  readonly isSecure: boolean;
  readonly requestId: string;
}

export function originOf(request: WireRequest, requestId: string): Origin {
  const { socket } = request;
  return {
    sourceAddress: (socket.remoteAddress ?? '').replace(/^::ffff:(?=\d+\.)/, ''),
    isSecure: 'encrypted' in socket && socket.encrypted === true,
    requestId,
  };
}
