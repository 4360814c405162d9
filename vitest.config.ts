// One project per kind of test; the kinds are explained in CONTRIBUTING.md. Kinds that start real processes run in
// processes of their own.
import { defineConfig } from 'vitest/config';

const isNightly = process.env['NIGHTLY'] === 'true';

const project = (name: string, options = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    exclude: isNightly ? [] : ['**/*.nightly.test.ts'],
    ...options,
  },
});

const processes = { pool: 'forks', testTimeout: isNightly ? 3_600_000 : 180_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    projects: [
      project('unit', { testTimeout: 30_000 }),
      project('contract', { testTimeout: 60_000 }),
      project('golden'),
      project('property', { testTimeout: 60_000 }),
      project('simulation', processes),
      project('fault', processes),
      project('interop', processes),
      project('tidy', { testTimeout: 60_000 }),
    ],
  },
});
