// What `--check-config` prints, the same for every program.
import type { ExplainedProblem } from '../runtime/config-check.ts';
import { EXIT } from './cli-error.ts';
import { printDocument, printLine } from './output.ts';

/** Sets the exit code: 0 when there are none. */
export function showProblems(problems: readonly ExplainedProblem[], isJson: boolean): void {
  if (isJson) printDocument('tributary.check-config/1', { ok: problems.length === 0, problems });
  else if (problems.length === 0) printLine('the settings are valid');
  else for (const { path, message, fix } of problems) printLine(`${path}: ${message}\n  ${fix}`);
  process.exitCode = problems.length === 0 ? EXIT.ok : EXIT.usage;
}
