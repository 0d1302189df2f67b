import { CrashcartError, reasons } from '../../src/base/errors.ts';
import type { Facts } from './facts.ts';

/** One kernel, and what the tests said there. */
export interface KernelResult {
  /** What `make kernels` is asked for it by. */
  readonly name: string;
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

/** The page with these results in its table; the others of `names` keep the rows that they have there. */
export function withTable(page: string, results: readonly KernelResult[], names: readonly string[]): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from)
    throw new CrashcartError(
      reasons.Invalid,
      'The page has lost the marks between which its table stands: put them back.',
    );
  const kept = page.slice(from, to).split('\n');
  const rows = names.flatMap((name) => {
    const result = results.find((each) => each.name === name);
    return (result ? rowOf(result) : kept.find((row) => row.startsWith(startOf(name)))) ?? [];
  });
  return `${page.slice(0, from)}${[begin, ...heading, ...rows].join('\n')}\n${page.slice(to)}`;
}

const startOf = (name: string): string => `| ${name}: `;

const heading = [
  '| kernel | cgroups | security modules | the toolbox is mounted from | probes that found nothing | tests passed |',
  '|---|---|---|---|---|---|',
];

function rowOf({ name, kernel, facts, passed, failed }: KernelResult): string {
  const missing = Object.entries(facts.features).flatMap(([feature, there]) => (there ? [] : [feature]));
  const cells = [
    kernel,
    cgroupsOf(facts),
    facts.securityModules.join(' ') || 'none',
    facts.toolbox,
    missing.join(' ') || 'nothing',
    `${passed} of ${passed + failed.length}${failed.length > 0 ? `; not: ${failed.join('; ')}` : ''}`,
  ];
  return `${startOf(name)}${cells.join(' | ')} |`;
}

const cgroupsOf = ({ legacyHierarchies, controllers }: Facts): string =>
  legacyHierarchies === 0 ? `v2 alone: ${controllers.join(' ')}` : `v2 beside ${legacyHierarchies} hierarchies of v1`;
