import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CrashcartError, describe, reasons } from '../../src/base/errors.ts';
import { run } from '../process.ts';
import { inScratch } from '../scratch.ts';
import { paragraphs } from './control.ts';
import type { Architecture, Archive } from './lock.ts';
import { type PackageIndex, readIndex } from './package-index.ts';

export interface SuiteIndex {
  index: PackageIndex;
  /** Date of the newest release file, in seconds since 1970. */
  epoch: number;
}

export interface Mirrors {
  /** Addresses without a trailing slash. */
  debian: string;
  'debian-security': string;
}

export interface IndexOptions {
  keyring?: string;
  /** For how long a release file is good, unless it says less itself. */
  validForSeconds?: number;
  /** The suite's backports too. */
  backports?: boolean;
}

const debianKeyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
/** Debian makes point releases every two or three months, but it may be longer: older than this is a mirror that was forgotten. */
const validForSeconds = 400 * 86_400;

/**
 * The current index of a suite with its updates and security updates. apt fetches it, in a directory of its own, so the machine's apt
 * state is not touched, and checks the release files' signatures against Debian's keyring and their dates: a lock begins with proven digests.
 */
export const fetchIndex = (
  mirrors: Mirrors,
  suite: string,
  architecture: Architecture,
  options: IndexOptions = {},
): Promise<SuiteIndex> => withIndex(mirrors, suite, architecture, options, async (index) => index);

/** An index, and apt-get over the same lists with nothing installed. */
export interface OpenIndex extends SuiteIndex {
  apt: (...args: string[]) => Promise<string>;
}

/** Does something with an index while the lists are there. */
export async function withIndex<T>(
  mirrors: Mirrors,
  suite: string,
  architecture: Architecture,
  options: IndexOptions,
  use: (index: OpenIndex) => Promise<T>,
): Promise<T> {
  return inScratch(join(tmpdir(), 'apt'), async (directory) => {
    const suites = [suite, `${suite}-updates`, ...(options.backports ? [`${suite}-backports`] : [])];
    await prepare(directory, sourcesOf(mirrors, suites, options.keyring ?? debianKeyring));
    const validFor = options.validForSeconds ?? validForSeconds;
    await update(directory, architecture);
    const lists = join(directory, 'lists');
    const names = (await readdir(lists)).sort();
    // Names, versions and paths are ASCII; one byte for each character halves what an index takes.
    const read = (name: string) => readFile(join(lists, name), 'latin1');
    const releases = await Promise.all(names.filter((name) => name.endsWith('InRelease')).map(read));
    for (const release of releases) refuseStale(release, validFor);
    const indexes = names.filter((name) => name.endsWith(`_main_binary-${architecture}_Packages`));
    const texts = await Promise.all(
      indexes.map(async (name) => ({ archive: archiveOf(name), text: await read(name) })),
    );
    return await use({
      index: readIndex(texts),
      epoch: Math.max(...releases.map(dateOfRelease)),
      apt: async (...args) => (await run('apt-get', [...args, ...aptOptions(directory, architecture)])).toString(),
    });
  });
}

const stale =
  'The index of the mirror is stale: its release file is older than it may be. Use another mirror, and look at this machine’s clock.';

/** apt looks at what the file says of its end; of one that says nothing nobody would notice that it is replayed. */
function refuseStale(release: string, validFor: number): void {
  if (dateOfRelease(release) + validFor < Date.now() / 1000) throw new CrashcartError(reasons.Unavailable, stale);
}

/** apt names lists after where they came from; the suite in it tells the archive. */
const archiveOf = (list: string): Archive => (/-security_main_/.test(list) ? 'debian-security' : 'debian');

async function update(directory: string, architecture: Architecture): Promise<void> {
  try {
    await run('apt-get', ['update', '--error-on=any', ...aptOptions(directory, architecture)]);
  } catch (cause) {
    throw new CrashcartError(reasons.Unavailable, whyNoIndex(describe(cause)), { cause });
  }
}

function whyNoIndex(complaint: string): string {
  if (/not valid yet|expired|is not valid any ?more/i.test(complaint)) return stale;
  if (
    /NO_PUBKEY|BADSIG|not signed|clearsigned|invalid signature|couldn.t be verified|KEYEXPIRED|Missing key/i.test(
      complaint,
    )
  )
    return 'The index of the mirror is not signed by Debian: do not use this mirror.';
  if (/Hash Sum mismatch|unexpected size/i.test(complaint))
    return 'The index of the mirror does not have the digests of its release file: it is being renewed or damaged; try again, or use another mirror.';
  return 'The index of the suite cannot be fetched; check the network, DEBIAN_MIRROR and DEBIAN_SECURITY_MIRROR, and that apt is installed.';
}

function sourcesOf(mirrors: Mirrors, suites: readonly string[], keyring: string): string {
  const source = (uri: string, names: string) =>
    `Types: deb\nURIs: ${uri}\nSuites: ${names}\nComponents: main\nSigned-By: ${keyring}\n`;
  return `${source(mirrors.debian, suites.join(' '))}\n${source(mirrors['debian-security'], `${suites[0]}-security`)}`;
}

async function prepare(directory: string, sources: string): Promise<void> {
  for (const name of ['lists/partial', 'cache', 'none']) await mkdir(join(directory, name), { recursive: true });
  await writeFile(join(directory, 'status'), '');
  await writeFile(join(directory, 'debian.sources'), sources);
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
    // Some machines switch this off for themselves.
    'Acquire::Check-Valid-Until=true',
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
