// Joins the sync endpoint to the ingest session: each accepted socket becomes the session of one gateway.
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
  return (socket) => runIngestSession(socket, { ...parts, codecs: [] });
}
