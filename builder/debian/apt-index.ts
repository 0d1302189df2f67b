import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { run } from '../process.ts';
import { paragraphs } from './control.ts';
import type { Architecture } from './lock.ts';

export interface SuiteIndex {
  /** The Packages index of main. */
  packages: string;
  /** Date of the release file, in seconds since 1970. */
  epoch: number;
}

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * The current index of a suite. apt fetches it, in a directory of its own, so the machine's apt state is not touched and
 * the release file's signature is checked against Debian's keyring: a lock begins with a proven digest.
 */
export async function fetchIndex(mirror: string, suite: string, architecture: Architecture): Promise<SuiteIndex> {
  const directory = await mkdtemp(join(tmpdir(), 'crashcart-apt-'));
  try {
    await prepare(directory, mirror, suite);
    await run('apt-get', ['update', '--error-on=any', ...aptOptions(directory, architecture)]);
    const lists = join(directory, 'lists');
    const names = await readdir(lists);
    const read = async (suffix: string) =>
      readFile(join(lists, names.find((name) => name.endsWith(suffix)) ?? suffix), 'utf8');
    const packages = await read(`_main_binary-${architecture}_Packages`);
    return { packages, epoch: dateOfRelease(await read('_InRelease')) };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function prepare(directory: string, mirror: string, suite: string): Promise<void> {
  for (const name of ['lists/partial', 'cache', 'none']) await mkdir(join(directory, name), { recursive: true });
  await writeFile(join(directory, 'status'), '');
  const source = { Types: 'deb', URIs: mirror, Suites: suite, Components: 'main', 'Signed-By': keyring };
  const lines = Object.entries(source).map(([field, value]) => `${field}: ${value}\n`);
  await writeFile(join(directory, 'debian.sources'), lines.join(''));
}

const aptOptions = (directory: string, architecture: Architecture): string[] =>
  [
    `Dir::Etc::sourcelist=${directory}/debian.sources`,
    `Dir::Etc::sourceparts=${directory}/none`,
    `Dir::State::Lists=${directory}/lists`,
    `Dir::State::status=${directory}/status`,
    `Dir::Cache=${directory}/cache`,
    `APT::Architecture=${architecture}`,
    `APT::Architectures::=${architecture}`,
    'APT::Sandbox::User=root',
    'APT::Update::Post-Invoke-Success=',
    'Acquire::Retries=3',
    'Acquire::GzipIndexes=false',
    'Acquire::Languages=none',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false',
    'Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled=false',
  ].flatMap((option) => ['-o', option]);

/** The Date field of a signed release file. */
export function dateOfRelease(text: string): number {
  for (const fields of paragraphs(text)) {
    const seconds = Date.parse(fields.get('Date') ?? '') / 1000;
    if (Number.isInteger(seconds)) return seconds;
  }
  throw new CrashcartError(reasons.Invalid, 'The release file of the suite has no date; try another mirror.');
}
