/**
 * `make kernels`: the core of the integration suite inside kernels of Debian's, in virtual machines, and in this machine's own; then the table in
 * docs/compatibility.md. Names (bookworm, trixie, trixie-backports, here) as arguments choose; the others keep the rows of their last run.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { debianKernel, nameOf, type Suite, suites } from './debian-kernel.ts';
import type { Facts } from './facts.ts';
import { runInGuest } from './guest.ts';
import { type KernelResult, readReport, withTable } from './results.ts';

const project = join(import.meta.dirname, '../..');
const logs = join(project, 'build/kernels');
const page = join(project, 'docs/compatibility.md');
const here = 'here';
const say = (line: string): void => console.error(line);

/** Ten times what it takes on an idle machine: a guest that hangs is ended. */
const guestTimeoutMs = 30 * 60_000;

/** For /bin/sh: the facts and the report of the tests go to `out`. */
const script = (out: string): string => `
set -e
cd '${project}'
export PATH='${dirname(process.execPath)}':"$PATH"
mkdir -p '${out}/on/toolboxes'
cp build/toolbox/default.erofs '${out}/on/toolboxes/'
node test/kernels/facts.ts '${out}/on' >'${out}/facts.json'
rm -r '${out}/on'
CRASHCART_TEST_PATIENCE=10 node node_modules/vitest/vitest.mjs run --project kernels --reporter=default --reporter=json --outputFile.json='${out}/report.json'
`;

async function main(args: readonly string[]): Promise<number> {
  const names = [...suites.map(nameOf), here];
  const unknown = args.find((each) => !names.includes(each));
  if (unknown) throw new CrashcartError(reasons.Invalid, `There is no kernel "${unknown}": say ${names.join(', ')}.`);
  let whole = true;
  for (const name of names) {
    if (args.length > 0 && !args.includes(name)) continue;
    const result = await measure(name);
    writeFileSync(page, withTable(readFileSync(page, 'utf8'), [result], names));
    whole &&= result.failed.length === 0;
  }
  return whole ? 0 : 1;
}

async function measure(name: string): Promise<KernelResult> {
  mkdirSync(logs, { recursive: true });
  const out = mkdtempSync(join(tmpdir(), 'crashcart-kernel-'));
  try {
    const suite = suites.find((each) => nameOf(each) === name);
    const { kernel, from } = suite ? await inGuest(suite, out) : runHere(out);
    const facts = JSON.parse(readFileSync(join(from, 'facts.json'), 'utf8')) as Facts;
    const result: KernelResult = {
      name,
      kernel: kernel(facts),
      facts,
      ...readReport(readFileSync(join(from, 'report.json'), 'utf8')),
    };
    say(
      `${name}: ${result.kernel}: ${result.passed} passed${result.failed.map((each) => `\n  failed: ${each}`).join('')}`,
    );
    return result;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

interface Ran {
  readonly kernel: (facts: Facts) => string;
  /** Where the facts and the report are. */
  readonly from: string;
}

async function inGuest(suite: Suite, out: string): Promise<Ran> {
  const kernel = await debianKernel(suite, say);
  say(`${nameOf(suite)}: booting ${kernel.name} ...`);
  const from = join(out, 'share');
  try {
    await runInGuest({ kernel, cgroups: 'v2', command: script('/run/out'), out, timeoutMs: guestTimeoutMs });
  } finally {
    // What the tests said, for whoever looks into a failure.
    if (existsSync(join(from, 'log'))) copyFileSync(join(from, 'log'), join(logs, `${nameOf(suite)}.log`));
  }
  return { kernel: () => kernel.name, from };
}

function runHere(out: string): Ran {
  spawnSync('/bin/sh', ['-c', script(out)], { stdio: 'inherit' });
  return {
    kernel: ({ release }) => `${/^\d+\.\d+/.exec(release)?.[0] ?? release}, of the machine that made this row`,
    from: out,
  };
}

process.exitCode = await main(process.argv.slice(2));
