// Store files, for the command line, which has no right to the store itself.
export { inspectStore } from '../storage/inspect-store.ts';
export type { InspectReport, InspectedShard } from '../storage/inspect-store.ts';
export { salvageByHand } from '../storage/salvage-by-hand.ts';
export { storeFilesIn, verifyFolder } from '../storage/verify.ts';
