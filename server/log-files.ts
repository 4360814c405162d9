// Store files, for the command line, which has no right to the store itself.
export { inspectStore } from '../storage/pages/inspect-store.ts';
export type { InspectReport, InspectedShard } from '../storage/pages/inspect-store.ts';
export { newestBlocks } from '../storage/pages/newest-blocks.ts';
export type { FoundBlock, FoundShard } from '../storage/pages/newest-blocks.ts';
export { isSealed } from '../storage/seal/sealed-block.ts';
export { salvageByHand } from '../storage/salvage/salvage-by-hand.ts';
export { storeFilesIn, verifyFolder } from '../storage/verify/verify.ts';
