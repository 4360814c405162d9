// The program whose disk is recorded while it makes a key: then it says what it sealed with it. Arguments: the key file,
// the file to speak to.
import { openSync, writeSync } from 'node:fs';
import { openFileKey } from '../../../runtime/key-provider.ts';

/** What is sealed, and for what. */
export const [SECRET, CONTEXT] = ['secret', 'context'];

const [path, said] = process.argv.slice(2);
if (path !== undefined && said !== undefined) {
  const file = openSync(said, 'w');
  const sealed = openFileKey(path).seal(Buffer.from(SECRET), CONTEXT);
  writeSync(file, Buffer.from(sealed).toString('hex'));
}
