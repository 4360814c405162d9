// Store files, for the command line, which has no right to the store itself.
export { inspectStore } from '../storage/inspect-store.ts';
export type { InspectReport, InspectedShard } from '../storage/inspect-store.ts';
export { newestBlocks } from '../storage/newest-blocks.ts';
export type { FoundBlock, FoundShard } from '../storage/newest-blocks.ts';
export { isSealed } from '../storage/sealed-block.ts';
export { salvageByHand } from '../storage/salvage-by-hand.ts';
export { storeFilesIn, verifyFolder } from '../storage/verify.ts';
