// A session for a caller. One that has a session cannot ask for another, or none would ever end.
import { ApiProblem } from '../wire/api-problem.ts';
import type { Caller } from './caller.ts';
import type { Sessions, TemporaryCredentials } from './sessions.ts';

/** `durationMs` has been checked. Throws ApiProblem, or PolicyError when the policy cannot be read. */
export function mintSession(
  sessions: Sessions,
  { principal, accessKeyId }: Caller,
  durationMs: number,
  policy: string | null,
): TemporaryCredentials {
  if (principal.session === null) return sessions.mint(accessKeyId, durationMs, policy);
  throw new ApiProblem(
    403,
    'ACCESS_DENIED',
    'Cannot create a session with temporary credentials; sign with a long-term access key',
  );
}
