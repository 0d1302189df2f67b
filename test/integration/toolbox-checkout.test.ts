import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { architectures, hostArchitecture, type Lock, lockText, parseLock } from '../../builder/debian/lock.ts';
import { type BuilderCheckout, copyBuilder } from '../support/builder-checkout.ts';

const host = hostArchitecture();
const other = host === 'amd64' ? 'arm64' : 'amd64';
const files = ['packages', ...architectures.map((architecture) => `lock.${architecture}.json`)];

let directory: string;
let checkout: BuilderCheckout;
let out: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'toolbox-checkout-'));
  checkout = copyBuilder(join(directory, 'checkout'));
  out = join(directory, 'slim.erofs');
});
afterEach(() => rmSync(directory, { recursive: true }));

const lockOf = (architecture: (typeof architectures)[number]): Lock =>
  parseLock(checkout.read(`lock.${architecture}.json`));
const versionsOf = ({ packages }: Lock): Map<string, string> =>
  new Map(packages.map(({ name, version }) => [name, version]));
const build = (env?: NodeJS.ProcessEnv) => checkout.run(['build', '-t', 'slim', '-o', out], env);

/** Refused in one message without a stack, and no file was made. */
function expectRefusal({ status, stderr, stdout }: ReturnType<typeof build>, complaint: RegExp): void {
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(complaint);
  expect(stderr.match(/^crashcart-build: /gm)).toHaveLength(1);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(existsSync(out)).toBe(false);
}

describe('crashcart-build add', () => {
  it('takes a package into the list and the locks, at which everything else keeps its version, and it is built', {
    timeout: 300_000,
  }, () => {
    const before = new Map(architectures.map((architecture) => [architecture, lockOf(architecture)]));
    const added = checkout.run(['add', 'iptraf-ng', '-t', 'slim', '--task', 'network']);
    expect(added).toMatchObject({ status: 0, stdout: '' });
    expect(checkout.read('packages')).toContain('network:\n  iptraf-ng\n  curl\n');
    for (const architecture of architectures) {
      const [old, now] = [before.get(architecture), lockOf(architecture)];
      if (!old) throw new Error('no lock');
      expect(now.date).toBe(old.date);
      expect(now.packages.find(({ name }) => name === 'iptraf-ng')?.groups).toContain('slim');
      const versions = versionsOf(now);
      for (const [name, version] of versionsOf(old)) expect([name, versions.get(name)]).toEqual([name, version]);
    }

    const built = build();
    expect(built).toMatchObject({ status: 0 });
    expect(built.stdout).toMatch(/^sha256:[0-9a-f]{64} {2}/);
    expect(built.stderr).toMatch(/other bytes than builder\/digests\.json has recorded \(sha256:/);
    expect(checkout.run(['list', '-t', 'slim']).stdout).toMatch(/^network +iptraf-ng +iptraf-ng +\S/m);
    expect(checkout.run(['why', 'iptraf-ng', '-t', 'slim']).stdout).toMatch(
      /^\/dev\/crashcart\/s?bin\/iptraf-ng is of iptraf-ng[\s\S]*builder\/packages lists iptraf-ng/,
    );
    expect(checkout.run(['build', '-t', 'slim', '-o', out, '--record']).stderr).toContain('recorded in');
    expect(build().stderr).toContain('the bytes that builder/digests.json has recorded');
  });

  it.each([
    ['that Debian does not have', 'no-such-package-anywhere', /Debian has no package no-such-package-anywhere/],
    ['that another one excludes', 'busybox', /busybox(-static)? and busybox(-static)? exclude each other/],
    ['that is there already', 'strace', /strace is in default already/],
  ])('refuses a package %s, and changes neither list nor locks', { timeout: 120_000 }, (_, name, complaint) => {
    const before = files.map((file) => checkout.read(file));
    expectRefusal(checkout.run(['add', name]), complaint);
    expect(files.map((file) => checkout.read(file))).toEqual(before);
  });
});

describe('crashcart-build build', () => {
  it('refuses a package whose files cannot be moved, with the files and the strings in them', {
    timeout: 120_000,
  }, () => {
    expect(checkout.run(['add', 'git', '-t', 'slim'])).toMatchObject({ status: 0 });
    expectRefusal(build(), /Not relocated: .*bin\/git \(of git\) looks for \/usr\/lib\/git-core/);
  });

  it('refuses a lock of another architecture, a damaged one, and one that lacks what the list has', {
    timeout: 60_000,
  }, () => {
    const [mine, list] = [checkout.read(`lock.${host}.json`), checkout.read('packages')];
    checkout.write(`lock.${host}.json`, checkout.read(`lock.${other}.json`));
    expectRefusal(build(), new RegExp(`it is a lock for ${other}`));
    checkout.write(`lock.${host}.json`, mine.slice(0, 5000));
    expectRefusal(build(), /cannot be used; make it with `builder\/crashcart-build lock`/);
    checkout.write(`lock.${host}.json`, mine);
    checkout.write('packages', list.replace('  less\n', '  less\n  iptraf-ng\n'));
    expectRefusal(build(), /builder\/packages names iptraf-ng for slim, and the lock of \w+ does not have it/);
  });

  it('refuses other bytes than the lock has, and says what to do when the mirror no longer has a version', {
    timeout: 120_000,
  }, () => {
    const lock = lockOf(host);
    const less = lock.packages.find(({ name }) => name === 'less');
    if (!less) throw new Error('the lock has no less');
    const packages = lock.packages.map((each) => (each === less ? { ...less, sha256: 'a'.repeat(64) } : each));
    checkout.write(`lock.${host}.json`, lockText({ ...lock, packages }));
    expectRefusal(build(), /less_.*: other bytes than the lock says|less_.* has \d+ bytes with sha256/);
    const gone = packages.map((each) => (each.name === 'less' ? { ...each, path: 'pool/main/l/less/gone.deb' } : each));
    checkout.write(`lock.${host}.json`, lockText({ ...lock, packages: gone }));
    expectRefusal(build(), /The mirror has no .*gone\.deb: .*crashcart-build lock/);
  });
});
