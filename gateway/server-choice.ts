// Which server a gateway belongs to: what the operator sets until it is enrolled, what it was enrolled at from then on.
import type { Log } from '../stream/ports.ts';
import type { IdentityStore } from './identity-store.ts';

export interface ServerSettings {
  readonly url: string;
  readonly enrolmentCode?: string | undefined;
}

/** Keeps durably what the enrolment needs, and says so when the setting is not the server that is used. */
export async function chooseServer(
  identities: IdentityStore,
  { url, enrolmentCode }: ServerSettings,
  log: Log,
): Promise<void> {
  if (enrolmentCode === undefined) await identities.redirect(url);
  else await identities.prepare(enrolmentCode, url);
  const { identity } = identities;
  if (identity === null || isSameServer(identity.serverUrl, url)) return;
  log.warn('enrolled at another server than the one that is set', {
    used: identity.serverUrl,
    set: url,
    fix: `the gateway goes on with ${identity.serverUrl}; set that, or make it a gateway of ${url} with: tributary identity reset DIR --yes`,
  });
}

/** As far as requests go: they replace the path. */
function isSameServer(a: string, b: string): boolean {
  return new URL(a).origin === new URL(b).origin;
}
