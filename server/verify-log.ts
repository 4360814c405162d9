// The check of a data folder, for the command line, which has no right to the store itself.
export { verifyFolder } from '../storage/verify.ts';
