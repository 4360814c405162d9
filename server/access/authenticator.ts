// From a signature to a caller: the root's keys, the keys of users, and sessions made with either.
import { SigV4Error } from '../../runtime/sigv4/sigv4-error.ts';
import { verifyRequest } from '../../runtime/sigv4/verify.ts';
import type { Clock } from '../../stream/ports.ts';
import type { AccessKeys } from './access-keys.ts';
import type { Verify } from './caller.ts';
import type { Principal } from './principal.ts';
import type { Sessions } from './sessions.ts';
import type { Users } from './users.ts';

export interface AuthenticatorParts {
  readonly keys: AccessKeys;
  readonly users: Users;
  readonly sessions: Sessions;
  readonly root: Principal;
  readonly clock: Clock;
}

interface Identity {
  readonly secretAccessKey: string;
  readonly principal: Principal;
}

export function authenticator(parts: AuthenticatorParts): Verify {
  return (request, body, service, origin) => {
    let found: Identity | undefined;
    const { accessKeyId } = verifyRequest(request, body, {
      service,
      now: () => parts.clock.wallMs(),
      findSecret: (id, token) => {
        found = token === undefined ? ofLongTermKey(id, parts) : ofSession(id, token, parts);
        return found?.secretAccessKey;
      },
    });
    if (found === undefined) throw unknownToken();
    return { ...origin, accessKeyId, principal: found.principal };
  };
}

/** For development on a loopback address: whoever comes is the root. */
export function acceptAnyone(root: Principal): Verify {
  return (_request, _body, _service, origin) => ({ ...origin, accessKeyId: 'anyone', principal: root });
}

function ofLongTermKey(id: string, { keys, users, root }: AuthenticatorParts): Identity | undefined {
  const secretAccessKey = keys.secretOf(id);
  return secretAccessKey === undefined ? users.byKey(id) : { secretAccessKey, principal: root };
}

/** A session ends with its time, with the key that asked for it, and with the user. */
function ofSession(id: string, token: string, parts: AuthenticatorParts): Identity | undefined {
  const session = parts.sessions.open(token);
  if (session === null || session.accessKeyId !== id) return undefined;
  const parent = ofLongTermKey(session.parentKeyId, parts);
  if (parent === undefined) return undefined;
  if (parts.clock.wallMs() >= session.expiresAtMs)
    throw new SigV4Error('ExpiredTokenException', 'The security token included in the request is expired');
  return { secretAccessKey: session.secretAccessKey, principal: { ...parent.principal, session } };
}

function unknownToken(): SigV4Error {
  return new SigV4Error(
    'UnrecognizedClientException',
    'The security token included in the request is invalid.',
  );
}
