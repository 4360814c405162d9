// Names in the folder of an image.

/** What the image must hold, beside the files themselves. */
export const EXPECTATION_FILE = 'expectation.json';
export const STORE_FILE = 'log.mdb';
