import { defineConfig } from 'vitest/config';

// Four tiers: unit (no privilege, no processes), fuzz (as unit, with generated inputs), integration (the real kernel, root) and e2e (the real cluster).
// Files of the upper two run one after another: they count what is left on the machine, so they must not overlap.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: [
            'src/**/*.test.ts',
            'builder/**/*.test.ts',
            'bench/**/*.test.ts',
            'test/cluster/**/*.test.ts',
            'test/support/**/*.test.ts',
            'test/kernels/**/*.test.ts',
          ],
        },
      },
      // Property-based; FUZZ_RUNS inputs for each target.
      { test: { name: 'fuzz', include: ['test/fuzz/**/*.test.ts'] } },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      // What `make kernels` runs inside each kernel.
      {
        test: {
          name: 'kernels',
          include: ['test/kernels/core.kernel.ts'],
          fileParallelism: false,
          // A processor made of software is ten times as slow, and the machine below it may be busy.
          testTimeout: 240_000,
          hookTimeout: 240_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 300_000,
          globalSetup: ['test/e2e/setup.ts'],
        },
      },
    ],
  },
});
