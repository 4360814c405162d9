// A reporter that closes every run with what was skipped and why, and one plain line: what passed and failed.
import type { Reporter, TestModule } from 'vitest/node';

export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    const skipped: string[] = [];
    for (const module of modules) {
      counts.failed += module.errors().length;
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === 'pending') continue;
        counts[result.state] += 1;
        const note = result.state === 'skipped' ? result.note : undefined;
        if (result.state === 'skipped') skipped.push(`${test.fullName}: ${note ?? 'no reason given'}`);
      }
    }
    if (skipped.length > 0)
      process.stdout.write(`\nskipped:\n${skipped.map((line) => `  ${line}\n`).join('')}`);
    if (process.env['CI'] === 'true' && skipped.length > 0) {
      process.stdout.write(`${skipped.length} tests were skipped; in CI nothing may be\n`);
      process.exitCode = 1;
    }
    const tail = skipped.length > 0 ? `, ${skipped.length} skipped` : '';
    process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed${tail}\n`);
  }
}
