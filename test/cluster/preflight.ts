import { execFileSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { CrashcartError, describe, reasons } from '../../src/base/errors.ts';
import { systemPath } from './command.ts';

/** Everything from apt that the test cluster needs on a fresh Debian 12 that has git, make, Node and Go. */
export const debianPackages = [
  'gcc',
  'libc6-dev',
  'libseccomp-dev',
  'pkg-config',
  'iproute2',
  'nftables',
  'util-linux',
  'mount',
  'bash',
  'xz-utils',
] as const;

type DebianPackage = (typeof debianPackages)[number];

const programs: Readonly<Record<string, DebianPackage>> = {
  gcc: 'gcc',
  'pkg-config': 'pkg-config',
  ip: 'iproute2',
  nft: 'nftables',
  unshare: 'util-linux',
  nsenter: 'util-linux',
  setsid: 'util-linux',
  mount: 'mount',
  umount: 'mount',
  bash: 'bash',
  xz: 'xz-utils',
};

/** The Go that the modules want, and the first that fetches it by itself unless GOTOOLCHAIN=local forbids it. */
const wantedGo = 26;
const fetchingGo = 21;

export interface Finding {
  readonly what: string;
  /** Debian package that brings it; absent when apt cannot help. */
  readonly apt?: DebianPackage;
  readonly otherwise?: string;
}

export function isProgram(name: string): boolean {
  return systemPath()
    .split(delimiter)
    .some((directory) => {
      try {
        accessSync(join(directory, name), constants.X_OK);
        return directory !== '';
      } catch {
        return false;
      }
    });
}

function answer(program: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(program, args, {
      stdio: ['ignore', 'pipe', 'ignore'],
      encoding: 'utf8',
      timeout: 10_000,
    }).trim();
  } catch {
    return undefined;
  }
}

/** `version` is what `go env GOVERSION` says, `go1.26.8`; `toolchain` is what it says of GOTOOLCHAIN. */
export function isGoNewEnough(version: string | undefined, toolchain: string | undefined): boolean {
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(version ?? '') ?? [];
  if (major === undefined || minor === undefined) return false;
  return Number(major) > 1 || Number(minor) >= (toolchain === 'local' ? wantedGo : fetchingGo);
}

function systemFindings(): Finding[] {
  const found: Finding[] = [];
  if (process.platform !== 'linux') found.push({ what: 'Linux', otherwise: 'run this on a Linux machine or in a VM' });
  if (process.getuid?.() !== 0) found.push({ what: 'root', otherwise: 'run the same command as root (sudo)' });
  const go = answer('go', ['env', 'GOVERSION']);
  if (!isGoNewEnough(go, answer('go', ['env', 'GOTOOLCHAIN']))) {
    const have = go ? ` (this one is ${go})` : '';
    found.push({
      what: `Go ≥ 1.${wantedGo}${have}`,
      otherwise: 'install it as https://go.dev/doc/install says',
    });
  }
  return found;
}

function packageFindings(): Finding[] {
  const found: Finding[] = [];
  for (const [program, apt] of Object.entries(programs)) if (!isProgram(program)) found.push({ what: program, apt });
  const seccomp = isProgram('pkg-config')
    ? answer('pkg-config', ['--exists', 'libseccomp']) !== undefined
    : existsSync('/usr/include/seccomp.h');
  if (!seccomp) found.push({ what: 'the header of libseccomp', apt: 'libseccomp-dev' });
  if (!existsSync('/usr/include/stdlib.h')) found.push({ what: 'the headers of the C library', apt: 'libc6-dev' });
  return found;
}

/** What the test cluster lacks on this machine. */
export const missing = (): Finding[] => [...systemFindings(), ...packageFindings()];

/** One message for all that is missing, with the command that gets it. */
export function explain(findings: readonly Finding[]): string {
  const packages = [...new Set(findings.flatMap((finding) => finding.apt ?? []))].sort();
  const lines = [`The test cluster needs what is missing here: ${findings.map((finding) => finding.what).join(', ')}.`];
  if (packages.length > 0) lines.push(`  apt-get install -y --no-install-recommends ${packages.join(' ')}`);
  for (const { what, otherwise } of findings) if (otherwise) lines.push(`  ${what}: ${otherwise}.`);
  return lines.join('\n');
}

/** Throws Forbidden unless we are root. */
export function requireRoot(): void {
  if (process.getuid?.() === 0) return;
  throw new CrashcartError(
    reasons.Forbidden,
    'Nodes are namespaces, mounts and cgroups: run this as root, or with sudo.',
  );
}

/** Throws Unavailable that names everything missing at once. */
export function preflight(): void {
  const findings = missing();
  if (findings.length > 0) throw new CrashcartError(reasons.Unavailable, explain(findings));
}

function install(): void {
  const packages = [...new Set(missing().flatMap((finding) => finding.apt ?? []))];
  if (packages.length === 0) return;
  const options = { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } } as const;
  execFileSync('apt-get', ['update', '-q'], options);
  execFileSync('apt-get', ['install', '-y', '-q', '--no-install-recommends', ...packages], options);
}

if (import.meta.main) {
  try {
    if (process.argv.includes('--install')) install();
    preflight();
  } catch (error) {
    console.error(describe(error));
    process.exitCode = 1;
  }
}
