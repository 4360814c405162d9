// Builds everything that decides who may do what, for the composition root.
import { join } from 'node:path';
import type { DisposeStack } from '../../runtime/dispose-stack.ts';
import type { MetricsRegistry } from '../../runtime/metrics.ts';
import type { Clock, Log, Meta } from '../../stream/ports.ts';
import type { Sealer } from '../../runtime/key-provider.ts';
import { SigV4Error } from '../../runtime/sigv4/sigv4-error.ts';
import { auditedCall } from '../wire/json-api.ts';
import type { ApiRoute } from '../wire/json-api.ts';
import { accessRoutes } from './access-api.ts';
import type { AccessKeys } from './access-keys.ts';
import { AuditLog } from './audit-log.ts';
import { acceptAnyone, authenticator } from './authenticator.ts';
import { Authorizer } from './authorizer.ts';
import type { AuthorizerParts } from './authorizer.ts';
import type { Caller, Verify } from './caller.ts';
import { rootOf } from './principal.ts';
import type { RequestedTags } from './request-context.ts';
import { openSecret } from './server-secrets.ts';
import { Sessions } from './sessions.ts';
import { Users } from './users.ts';

export interface AccessOptions extends AuthorizerParts {
  readonly accountId: string;
  readonly meta: Meta;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly keys: AccessKeys;
  readonly auth: 'on' | 'off';
  readonly dataFolder: string;
  readonly metrics: MetricsRegistry;
  readonly log: Log;
}

export interface Access {
  readonly verify: Verify;
  /** Null: allowed. Otherwise the text to refuse with, already audited. */
  readonly denialOf: (
    caller: Caller,
    action: string,
    resource: string,
    requested?: RequestedTags,
  ) => string | null;
  readonly sessions: Sessions;
  readonly audit: AuditLog;
  readonly routes: ApiRoute[];
}

const AUDIT_FILE = 'audit.log';

/** What must be closed goes onto `parts`. */
export async function openAccess(options: AccessOptions, parts: DisposeStack): Promise<Access> {
  const { accountId, meta, sealer, clock, keys, log } = options;
  const auditPath = join(options.dataFolder, AUDIT_FILE);
  const audit = await AuditLog.open(auditPath, { clock, log });
  parts.defer(() => audit.close());
  const refused = options.metrics.counter(
    'tributary_refused_requests_total',
    'Requests refused for their signature, or because no policy allows them',
  );
  const root = rootOf(accountId);
  const users = await Users.open(meta, sealer, clock, { accountId });
  const sessions = new Sessions(await openSecret(meta, sealer, 'sessions'), clock);
  const authorizer = new Authorizer(options);
  const verify =
    options.auth === 'off' ? acceptAnyone(root) : authenticator({ keys, users, sessions, root, clock });
  return {
    verify: auditedVerify(verify, audit, () => refused.add(1, { by: 'signature' })),
    denialOf: (caller, action, resource, requested) => {
      const denial = authorizer.denialOf(caller, action, resource, requested);
      if (denial !== null) {
        refused.add(1, { by: 'policy' });
        audit.record({ ...auditedCall(caller, action, resource), outcome: 'denied', error: 'AccessDenied' });
      }
      return denial;
    },
    sessions,
    audit,
    routes: accessRoutes({ keys, users, sessions, authorizer, root, auditPath }),
  };
}

/** Nobody knows who it was nor what was wanted: the service is all that the request's route tells. */
function auditedVerify(verify: Verify, audit: AuditLog, onRefused: () => void): Verify {
  return async (request, body, service, origin) => {
    try {
      return await verify(request, body, service, origin);
    } catch (error) {
      if (error instanceof SigV4Error) {
        const { requestId, sourceAddress } = origin;
        onRefused();
        const entry = { requestId, sourceAddress, action: `${service}:*`, resource: '*' };
        audit.record({ ...entry, outcome: 'denied', error: error.type });
      }
      throw error;
    }
  };
}
