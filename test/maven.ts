// Java programs of tests: Maven fetches their libraries, and compiles them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, temporaryFolder } from './processes.ts';

/** Of the libraries that the file names. `parameters`: goals and properties that come before. */
export async function classPath(pom: string, parameters: readonly string[]): Promise<string> {
  const file = join(temporaryFolder('maven'), 'class-path');
  const maven = ['-q', '-B', '-f', pom, '-Dstyle.color=never', ...parameters];
  const goal = ['dependency:build-classpath', `-Dmdep.outputFile=${file}`];
  const { code, stdout } = await run('mvn', [...maven, ...goal]);
  if (code !== 0) throw new Error(stdout);
  return readFileSync(file, 'utf8').trim();
}
