import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchIndex, withIndex } from '../../builder/debian/apt-index.ts';
import { cacheDirectory, fetchOptionsOf, fetchPackages } from '../../builder/debian/cache.ts';
import { layoutOf } from '../../builder/debian/layout.ts';
import { architectures, hostArchitecture, packagesOf, readLock } from '../../builder/debian/lock.ts';
import { findMirror } from '../../builder/debian/mirror.ts';
import { packagesIn, readPackages } from '../../builder/debian/packages-file.ts';
import { resolve } from '../../builder/debian/resolve.ts';
import { unpackedPackage } from '../../builder/debian/unpacked.ts';
import { inProject } from '../../builder/paths.ts';
import { relocated } from '../../builder/relocate/relocate.ts';
import { recordedDigest } from '../../builder/toolbox/digests.ts';
import { suite } from '../../builder/verbs/lock.ts';

const mirrors = { debian: findMirror(process.env), 'debian-security': findMirror(process.env, 'debian-security') };
const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'toolbox-builder-'));
  chmodSync(directory, 0o755);
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('the resolver', () => {
  it.each(architectures)(
    'gives apt’s own answer for every section on %s',
    // apt thinks for seconds about each section, for a minute on a machine that others use.
    { timeout: 900_000 },
    async (architecture) => {
      await withIndex(mirrors, suite, architecture, {}, async ({ index, apt }) => {
        // apt takes seconds for each; the other architecture differs in few packages.
        const all = readPackages();
        const sections = architecture === hostArchitecture() ? all : all.filter(({ name }) => name === 'default');
        for (const section of sections) {
          const names = packagesIn(section, architecture).map(({ name }) => name);
          const ours = resolve(index, names, 'the list').map(({ name, version }) => `${name} ${version}`);
          const printed = await apt('install', '--print-uris', '--yes', '-qq', '--no-install-recommends', ...names);
          const theirs = [...printed.matchAll(/^'\S+' ([^_\s]+)_([^_\s]+)_/gm)].map(
            ([, name, version]) => `${name} ${decodeURIComponent(version ?? '')}`,
          );
          expect([section.name, ...ours.sort()]).toEqual([section.name, ...theirs.sort()]);
        }
      });
    },
  );

  it('refuses an index that Debian did not sign, one that is stale, and a mirror that has none', {
    timeout: 120_000,
  }, async () => {
    const server = createServer((request, response) => {
      const isRelease = request.url?.endsWith('InRelease');
      const body = 'Origin: Debian\nSuite: stable\nDate: Mon, 23 Nov 2026 11:22:38 UTC\nSHA256:\n';
      response.writeHead(isRelease ? 200 : 404).end(isRelease ? body : undefined);
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    try {
      const at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      const strange = { debian: `${at}/debian`, 'debian-security': `${at}/debian-security` };
      await expect(fetchIndex(strange, suite, 'amd64')).rejects.toThrow('not signed by Debian');
      await expect(fetchIndex(mirrors, suite, 'amd64', { validForSeconds: 1 })).rejects.toThrow('is stale');
      const nobody = { debian: 'http://127.0.0.1:1/debian', 'debian-security': 'http://127.0.0.1:1/debian-security' };
      await expect(fetchIndex(nobody, suite, 'amd64')).rejects.toThrow('cannot be fetched');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe('relocation of the real C library', () => {
  it.each(architectures)(
    'moves what the loader of %s looks up, and nothing else',
    { timeout: 120_000 },
    async (architecture) => {
      const lock = readLock(architecture);
      const { libraries, loader, triplet } = layoutOf(architecture);
      const libc = lock.packages.find(({ name }) => name === 'libc6');
      const file =
        libc && (await unpackedPackage(libc, fetchOptionsOf(lock, process.env))).get(`${libraries}/${loader}`);
      if (file?.type !== 'file') throw new Error('libc6 has no loader');
      const entry = await relocated(file, `lib/${loader}`, architecture);
      if (!('read' in entry)) throw new Error('it is not read later');
      const [before, after] = [await file.read(), Buffer.from(await entry.read())];
      expect(after.length).toBe(before.length);
      for (const gone of ['/etc/ld.so.preload', '\0/etc/ld.so.cache\0', `\0/usr/lib/${triplet}/\0`])
        expect(after.includes(gone)).toBe(false);
      expect(after.includes('/dev/crashcart///p\0')).toBe(true);
      let changed = 0;
      for (const [at, byte] of after.entries()) if (byte !== before[at]) changed++;
      expect(changed).toBeGreaterThan(100);
      expect(changed).toBeLessThan(400);

      // A build of glibc that compares in another way, or names another file.
      const other = (bytes: Buffer) => relocated({ ...file, read: async () => bytes }, `lib/${loader}`, architecture);
      const renamed = Buffer.from(before);
      renamed.write('/etc/LD.so.preload', renamed.indexOf('/etc/ld.so.preload'));
      const failure = await other(renamed)
        .then((one) => ('read' in one ? one.read() : undefined))
        .catch((error) => error.message);
      expect(failure).toMatch(
        new RegExp(`${loader}.* cannot be relocated: "/etc/ld.so.preload" is there 0 times, not 1`),
      );
      const twice = Buffer.concat([before, after.subarray(0, 0), before]);
      const moved = await other(twice)
        .then((one) => ('read' in one ? one.read() : undefined))
        .catch((error) => error.message);
      expect(moved).toMatch(/is there \d times, not \d/);
    },
  );
});

describe('the same lock', () => {
  const host = hostArchitecture();
  const node = process.execPath;

  /** Builds slim in a process of its own. */
  function build(out: string, how: { checkout?: string; cache?: string; user?: number; umask?: string } = {}) {
    const checkout = how.checkout ?? inProject('');
    const user =
      how.user === undefined ? [] : ['setpriv', `--reuid=${how.user}`, `--regid=${how.user}`, '--clear-groups'];
    const line = `umask ${how.umask ?? '022'}; exec ${user.join(' ')} "$0" "$@"`;
    const args = [join(checkout, 'builder/crashcart-build.ts'), 'build', '-t', 'slim', '-o', out];
    const env = {
      PATH: process.env['PATH'],
      HOME: '/nonexistent',
      CRASHCART_CACHE: how.cache ?? cacheDirectory(process.env),
    };
    // Nothing listens there: what is built from a full cache needs no network.
    return spawnSync('sh', ['-c', line, node, ...args], {
      encoding: 'utf8',
      cwd: '/',
      env: { ...env, DEBIAN_MIRROR: 'http://127.0.0.1:1/debian' },
    });
  }

  /** A cache that has the packages, and nothing that was made of them. */
  async function freshCache(name: string, owner: number): Promise<string> {
    const lock = readLock(host);
    await fetchPackages([...packagesOf(lock, 'slim'), ...packagesOf(lock, 'host')], fetchOptionsOf(lock, process.env));
    const cache = join(directory, name);
    mkdirSync(join(cache, 'debian'), { recursive: true });
    for (const { sha256: digest } of [...packagesOf(lock, 'slim'), ...packagesOf(lock, 'host')])
      cpSync(join(cacheDirectory(process.env), 'debian', `${digest}.deb`), join(cache, 'debian', `${digest}.deb`));
    for (const path of [cache, join(cache, 'debian')]) chownSync(path, owner, owner);
    return cache;
  }

  it('gives the same bytes to root and to uid 65534 with umask 077, in another directory, with and without caches', {
    timeout: 300_000,
  }, async () => {
    const first = join(directory, 'root.erofs');
    expect(build(first)).toMatchObject({ status: 0 });

    const checkout = join(directory, 'elsewhere');
    for (const path of ['builder', 'src/base', 'package.json'])
      cpSync(inProject(path), join(checkout, path), { recursive: true });
    mkdirSync(join(directory, 'out'));
    chownSync(join(directory, 'out'), 65534, 65534);
    const second = join(directory, 'out/nobody.erofs');
    cpSync(inProject('node_modules/commander'), join(checkout, 'node_modules/commander'), { recursive: true });
    cpSync(inProject('node_modules/@cyclonedx'), join(checkout, 'node_modules/@cyclonedx'), { recursive: true });
    const cache = await freshCache('cache', 65534);
    const nodeCopy = build(second, { checkout, cache, user: 65534, umask: '077' });
    expect(nodeCopy.stderr).not.toContain('fetching');
    expect(nodeCopy).toMatchObject({ status: 0 });
    expect(sha256(second)).toBe(sha256(first));
    // What a build on another day, of another person, wrote down.
    expect(`sha256:${sha256(first)}`).toBe(recordedDigest(host, 'slim.erofs'));
  });

  it('gives the same bytes years later and in another time zone', { timeout: 300_000 }, () => {
    const out = join(directory, 'later.erofs');
    const clock = { FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1', TZ: 'Asia/Tokyo', LC_ALL: 'C' };
    const later = (command: string, ...args: string[]) =>
      spawnSync('faketime', ['-f', '+1500d', command, ...args], {
        encoding: 'utf8',
        env: { ...process.env, ...clock },
      });
    // That the clock is another one is not taken on trust.
    expect(Number(later('date', '+%s').stdout) - Date.now() / 1000).toBeGreaterThan(1499 * 86_400);
    expect(Number(later(node, '-p', 'Date.now()').stdout) - Date.now()).toBeGreaterThan(1499 * 86_400_000);
    const args = [inProject('builder/crashcart-build.ts'), 'build', '-t', 'slim', '-o', out];
    expect(later(node, ...args)).toMatchObject({ status: 0 });
    expect(`sha256:${sha256(out)}`).toBe(recordedDigest(host, 'slim.erofs'));
  });

  it('gives the same bytes of squashfs and ext4 twice', { timeout: 600_000 }, () => {
    for (const format of ['squashfs', 'ext4']) {
      const [one, two] = ['one', 'two'].map((name) => join(directory, `${name}.${format}`));
      for (const out of [one, two]) {
        const args = [inProject('builder/crashcart-build.ts'), 'build', '-t', 'slim', '-f', format, '-o', out ?? ''];
        expect(spawnSync(node, args, { encoding: 'utf8' })).toMatchObject({ status: 0 });
      }
      expect(sha256(one ?? '')).toBe(sha256(two ?? ''));
    }
  });

  it.each([
    [['build', '-t', 'nothing'], /There is no toolbox "nothing"; builder\/packages has slim, core/],
    [['build', '-t', 'slim', '-o', '/proc/nothing.erofs'], /ENOENT|No room/],
    [['why', 'no-such-file', '-t', 'slim'], /has no package, command or path "no-such-file"/],
    [['diff', 'no-such-revision'], /neither a file nor a git revision/],
    [['prove', '/etc/passwd'], /neither erofs, squashfs nor ext4/],
  ])('is refused for %o in one sentence', { timeout: 120_000 }, (args, complaint) => {
    const lists = ['packages', 'lock.amd64.json', 'lock.arm64.json'].map((name) =>
      sha256(inProject(`builder/${name}`)),
    );
    const { status, stderr } = spawnSync(node, [inProject('builder/crashcart-build.ts'), ...args], {
      encoding: 'utf8',
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(complaint);
    expect(
      ['packages', 'lock.amd64.json', 'lock.arm64.json'].map((name) => sha256(inProject(`builder/${name}`))),
    ).toEqual(lists);
  });

  it('leaves nothing half-made on a full disk', { timeout: 120_000 }, () => {
    const disk = join(directory, 'disk');
    mkdirSync(disk);
    const script = `mount -t tmpfs -o size=20m tmpfs "$0" && "$1" "$2" build -t slim -o "$0/slim.erofs"; echo "code $?"; ls -A "$0"`;
    const full = spawnSync('unshare', ['-m', 'sh', '-c', script, disk, node, inProject('builder/crashcart-build.ts')], {
      encoding: 'utf8',
    });
    expect(full.stderr).toMatch(/No room for .*slim\.erofs/);
    expect(full.stdout).toBe('code 1\n');
  });

  it('uses nothing half-made of builds that were interrupted or killed, at whatever moment', {
    timeout: 300_000,
  }, async () => {
    const cache = await freshCache('interrupted', 0);
    const out = join(directory, 'ended/slim.erofs');
    const args = [inProject('builder/crashcart-build.ts'), 'build', '-t', 'slim', '-o', out];
    const env = { ...process.env, CRASHCART_CACHE: cache, DEBIAN_MIRROR: 'http://127.0.0.1:1/debian' };
    for (const [at, killSignal] of [500, 800, 1100, 1400, 1800, 2200, 2600].map(
      (timeout, index) => [timeout, index % 2 ? 'SIGKILL' : 'SIGINT'] as const,
    )) {
      const { status } = spawnSync(node, args, { timeout: at, killSignal, env });
      // One that is ended when its work is done already has left a whole one all the same.
      if (existsSync(out)) expect(`sha256:${sha256(out)}`).toBe(recordedDigest(host, 'slim.erofs'));
      else expect(status).not.toBe(0);
      rmSync(out, { force: true });
    }
    expect(spawnSync(node, args, { encoding: 'utf8', env })).toMatchObject({ status: 0 });
    expect(`sha256:${sha256(out)}`).toBe(recordedDigest(host, 'slim.erofs'));
  });
});
