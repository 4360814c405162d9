// The process that reads a store as it was and never ends: its pages must not be used again while it lives.
import { open } from 'lmdb';

const [path = ''] = process.argv.slice(2);
const root = open({ path, noSubdir: true, readOnly: true, maxDbs: 100 });
const transaction = root.useReadTransaction();
void [...root.getKeys({ transaction, limit: 1 })];
process.send?.('reading');
setInterval(() => undefined, 60_000);
