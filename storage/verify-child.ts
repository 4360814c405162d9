// The process that opens a store file which may be damaged: started by verify.ts, answers over its channel, ends.
import { nodeDigest } from '../runtime/digest.ts';
import { verifyStore } from './verify-store.ts';

const [path = ''] = process.argv.slice(2);
const report = await verifyStore(path, nodeDigest);
process.send?.(report, () => process.disconnect());
