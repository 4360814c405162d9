// One project per kind of test; the kinds are explained in CONTRIBUTING.md.
import { defineConfig } from 'vitest/config';

const project = (name: string, options = {}) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], ...options },
});

export default defineConfig({
  test: {
    projects: [
      project('unit'),
      project('contract', { testTimeout: 30_000 }),
      project('golden'),
      project('property', { testTimeout: 30_000 }),
      project('tidy', { testTimeout: 60_000 }),
    ],
  },
});
