// The ports of the server: one in plaintext, and one with TLS when it is asked for.
import type { DisposeStack } from '../runtime/dispose-stack.ts';
import type { Log } from '../stream/ports.ts';
import { certificateOf, followCertificate } from './certificate.ts';
import type { ServerConfig } from './config.ts';
import type { HttpHandlers } from './wire/http-servers.ts';
import { openListener } from './wire/listener.ts';
import type { Listener } from './wire/listener.ts';

export interface Doors {
  readonly plain: Listener;
  /** Null: TLS is not configured. */
  readonly secure: Listener | null;
}

/** Closed by `parts`, together with what `closeGuests` ends: the ports wait for their sockets, and those are among them. */
export async function openDoors(
  { http, tls }: ServerConfig,
  dataFolder: string,
  handlers: HttpHandlers,
  log: Log,
  parts: DisposeStack,
  closeGuests: () => Promise<void>,
): Promise<Doors> {
  const plain = await openListener({ ...http, ...handlers });
  let secure: Listener | null = null;
  parts.defer(async () => {
    await Promise.all([closeGuests(), plain.close(), secure?.close()]);
  });
  if (tls === undefined) return { plain, secure };
  const certificate = certificateOf(tls, dataFolder, http.host);
  const listener = await openListener({ ...http, port: tls.port, tls: certificate, ...handlers });
  secure = listener;
  parts.use(followCertificate(tls, (given) => listener.renew(given), log.child('tls')));
  return { plain, secure };
}
