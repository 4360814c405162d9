// Joins the sync endpoint to the ingest session: each accepted socket becomes the session of one gateway.
import { nodeCodecs } from '../runtime/codecs.ts';
import type { Clock, Digest, Log } from '../stream/ports.ts';
import { runIngestSession } from '../sync/ingest-session.ts';
import type { IngestTarget, SessionDirectory } from '../sync/ports.ts';
import type { ServerIdentity } from './fleet/server-identity.ts';
import type { OnSession } from './sync-endpoint.ts';

export interface SessionParts {
  readonly directory: SessionDirectory;
  readonly target: IngestTarget;
  readonly identity: ServerIdentity;
  readonly digest: Digest;
  readonly clock: Clock;
  readonly log: Log;
}

export function serveSessions(parts: SessionParts): OnSession {
  return (socket, greeted) =>
    runIngestSession(socket, { ...parts, directory: telling(parts.directory, greeted), codecs: nodeCodecs });
}

/** The same directory, that says when it has let the gateway in. */
function telling(directory: SessionDirectory, greeted: () => void): SessionDirectory {
  return {
    publicKeyOf: (gateway) => directory.publicKeyOf(gateway),
    begin: async (...hello) => {
      const grant = await directory.begin(...hello);
      greeted();
      return grant;
    },
  };
}
