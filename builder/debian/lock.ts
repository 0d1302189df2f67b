import { readFileSync } from 'node:fs';
import { CrashcartError, reasons } from '../../src/base/errors.ts';

export const architectures = ['amd64', 'arm64'] as const;
export type Architecture = (typeof architectures)[number];

/** Debian's archives: security updates have mirrors of their own. */
export const archives = ['debian', 'debian-security'] as const;
export type Archive = (typeof archives)[number];

/**
 * A package as it was when the lock was made. `path` is relative to the mirror of its archive; `source` names what its licence is
 * about; `groups` are the sections of builder/packages whose closure it is in.
 */
export interface LockedPackage {
  name: string;
  version: string;
  source: string;
  archive: Archive;
  path: string;
  size: number;
  sha256: string;
  groups: readonly string[];
  depends: readonly string[];
}

export interface Lock {
  suite: string;
  architecture: Architecture;
  /** Seconds since 1970, the date of the newest release file: every time stamp in what is built from the lock. */
  epoch: number;
  /** The same as a date, for people and for archives of old versions. */
  date: string;
  packages: readonly LockedPackage[];
}

/** What Debian's own packages stay below by far; a lock that says more is damaged. */
const largestPackageBytes = 512 * 1024 * 1024;

export const lockUrl = (architecture: Architecture) => new URL(`../lock.${architecture}.json`, import.meta.url);

/** This machine's architecture in Debian's words. */
export function hostArchitecture(): Architecture {
  if (process.arch === 'x64') return 'amd64';
  if (process.arch === 'arm64') return 'arm64';
  throw new CrashcartError(reasons.Invalid, `Crashcart is built on x64 and arm64, and this is ${process.arch}.`);
}

export function readLock(architecture: Architecture): Lock {
  const url = lockUrl(architecture);
  try {
    const lock = parseLock(readFileSync(url, 'utf8'));
    if (lock.architecture !== architecture) throw new Error(`it is a lock for ${lock.architecture}`);
    return lock;
  } catch (cause) {
    throw new CrashcartError(
      reasons.Invalid,
      `The lock of ${architecture} (${url.pathname}) cannot be used; make it with \`builder/crashcart-build lock\`.`,
      { cause },
    );
  }
}

/** Parses the text of a lock. Throws an Error that names the first field that is not what it should be. */
export function parseLock(text: string): Lock {
  const value: unknown = JSON.parse(text);
  const lock = record(value, 'the lock');
  const architecture = architectures.find((known) => known === lock['architecture']);
  if (!architecture) throw new Error('architecture is not one of amd64, arm64');
  if (!Array.isArray(lock['packages'])) throw new Error('packages is not a list');
  return {
    suite: match(lock['suite'], /^[a-z][a-z-]*$/, 'suite'),
    architecture,
    epoch: count(lock['epoch'], 253402300799, 'epoch'),
    date: match(lock['date'], /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'date'),
    packages: lock['packages'].map((entry, at) => parsePackage(entry, `packages[${at}]`)),
  };
}

function parsePackage(value: unknown, at: string): LockedPackage {
  const entry = record(value, at);
  const archive = archives.find((known) => known === entry['archive']);
  if (!archive) throw new Error(`${at}.archive is not one of ${archives.join(', ')}`);
  return {
    name: match(entry['name'], /^[a-z0-9][a-z0-9+.-]+$/, `${at}.name`),
    version: match(entry['version'], /^[0-9][A-Za-z0-9.+:~-]*$/, `${at}.version`),
    source: match(entry['source'], /^[a-z0-9][a-z0-9+.-]+ \S+$/, `${at}.source`),
    archive,
    // It becomes part of a URL: no way up, no query.
    path: match(entry['path'], /^pool\/(?!.*\.\.)[A-Za-z0-9/+._~%-]+\.deb$/, `${at}.path`),
    size: count(entry['size'], largestPackageBytes, `${at}.size`),
    sha256: match(entry['sha256'], /^[0-9a-f]{64}$/, `${at}.sha256`),
    groups: list(entry['groups'], /^[a-z][a-z0-9-]*$/, `${at}.groups`),
    depends: list(entry['depends'], /^[a-z0-9][a-z0-9+.-]+$/, `${at}.depends`),
  };
}

/** The text of a lock, a package a line: what changes between two locks is what one reads in a diff of them. */
export function lockText({ packages, ...head }: Lock): string {
  const fields = Object.entries(head).map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)},\n`);
  const lines = packages.map((locked) => `    ${JSON.stringify(locked)}`);
  return `{\n${fields.join('')}  "packages": [\n${lines.join(',\n')}\n  ]\n}\n`;
}

/** The packages of a group, in the lock's order. Throws Invalid when there are none: the lock is older than the builder. */
export function packagesOf(lock: Lock, group: string): readonly LockedPackage[] {
  const found = lock.packages.filter(({ groups }) => groups.includes(group));
  if (found.length > 0) return found;
  throw new CrashcartError(
    reasons.Invalid,
    `The lock of ${lock.architecture} has no packages for "${group}"; make it again with \`builder/crashcart-build lock\`.`,
  );
}

function list(value: unknown, pattern: RegExp, at: string): string[] {
  if (!Array.isArray(value)) throw new Error(`${at} is not a list`);
  return value.map((entry) => match(entry, pattern, at));
}

function record(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new Error(`${at} is not an object`);
  return { ...value };
}

function match(value: unknown, pattern: RegExp, at: string): string {
  if (typeof value === 'string' && pattern.test(value)) return value;
  throw new Error(`${at} is not of the form ${pattern}`);
}

function count(value: unknown, most: number, at: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= most) return value;
  throw new Error(`${at} is not a number between 0 and ${most}`);
}
