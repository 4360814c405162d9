// The process that opens a store file which may be damaged: started by verify-process.ts, answers over its channel, ends.
import { nodeDigest } from '../../runtime/digest.ts';
import { verifyStore } from './verify-store.ts';

const [path = '', depth] = process.argv.slice(2);
const report = await verifyStore(path, nodeDigest, depth === 'ends' ? 'ends' : 'whole');
process.send?.(report, () => process.disconnect());
