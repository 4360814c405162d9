// Whether this machine's clock has been set from the network.
import { existsSync } from 'node:fs';

/** Made by systemd-timesyncd (systemd-timesyncd.service(8)) when it has set the clock; gone after a boot. */
const TIMESYNC_FILE = '/run/systemd/timesync/synchronized';

export function isClockSynchronized(): boolean {
  return existsSync(TIMESYNC_FILE);
}
