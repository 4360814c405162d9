// The process that opens a store file which may be damaged: started by verify-process.ts, answers over its channel, ends.
import { nodeDigest } from '../../runtime/digest.ts';
import { verifyStore } from './verify-store.ts';

const [path = '', depth] = process.argv.slice(2);
try {
  const report = await verifyStore(path, nodeDigest, depth === 'ends' ? 'ends' : 'whole');
  process.send?.(report, () => process.disconnect());
} catch (error) {
  // Its last words; no report says that nothing is known of the file.
  process.stderr.write(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
  process.disconnect();
}
