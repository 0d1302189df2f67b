import { CrashcartError, reasons } from '../../src/base/errors.ts';
import type { Facts } from './facts.ts';

/** One kernel, and what the tests said there. */
export interface KernelResult {
  readonly kernel: string;
  readonly facts: Facts;
  readonly passed: number;
  readonly failed: readonly string[];
}

/** What Vitest writes as JSON, as far as we read it. */
interface VitestReport {
  readonly numPassedTests: number;
  readonly numTotalTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

export function readReport(text: string): Pick<KernelResult, 'passed' | 'failed'> {
  const { numPassedTests: passed, testResults } = JSON.parse(text) as VitestReport;
  const failed = testResults.flatMap(({ name, status, message, assertionResults }) => {
    const bad = assertionResults.filter((each) => each.status !== 'passed').map(({ fullName }) => fullName);
    // A file that could not even begin has no tests to name.
    return bad.length === 0 && status !== 'passed' ? [`${name}: ${message ?? status}`] : bad;
  });
  return { passed, failed };
}

const begin = '<!-- The table below is written by `make kernels`. -->';
const end = '<!-- End of the table. -->';

/** The page with the table of these results in place of the one that it had. */
export function withTable(page: string, results: readonly KernelResult[]): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from)
    throw new CrashcartError(
      reasons.Invalid,
      'The page has lost the marks between which its table stands: put them back.',
    );
  return `${page.slice(0, from)}${begin}\n${kernelTable(results)}${page.slice(to)}`;
}

export function kernelTable(results: readonly KernelResult[]): string {
  const rows = results.map(({ kernel, facts, passed, failed }) => {
    const missing = Object.entries(facts.features).flatMap(([name, there]) => (there ? [] : [name]));
    const cells = [
      kernel,
      cgroupsOf(facts),
      facts.securityModules.join(' ') || 'none',
      facts.toolbox,
      missing.join(' ') || 'nothing',
      `${passed} of ${passed + failed.length}${failed.length > 0 ? `; not: ${failed.join('; ')}` : ''}`,
    ];
    return `| ${cells.join(' | ')} |\n`;
  });
  return [
    '| kernel | cgroups | security modules | the toolbox is mounted from | probes that found nothing | tests passed |\n',
    '|---|---|---|---|---|---|\n',
    ...rows,
  ].join('');
}

const cgroupsOf = ({ legacyHierarchies, controllers }: Facts): string =>
  legacyHierarchies === 0 ? `v2 alone: ${controllers.join(' ')}` : `v2 beside ${legacyHierarchies} hierarchies of v1`;
