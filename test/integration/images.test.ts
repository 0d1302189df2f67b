import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostArchitecture, readLock } from '../../builder/debian/lock.ts';
import { transportFile } from '../../builder/images/crashcart-tree.ts';
import { imageTars } from '../../builder/images/images.ts';
import { inProject } from '../../builder/paths.ts';
import { buildToolbox } from '../../builder/toolbox/build.ts';
import { recordedDigest } from '../../builder/toolbox/digests.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'images-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** The root file system of an image: its layers one over the other, as a runtime does it. */
function unpack(image: keyof typeof imageTars): string {
  const tar = inProject(imageTars[image]);
  const root = join(directory, image);
  mkdirSync(root);
  const extract = (path: string): Buffer => {
    const content = spawnSync('tar', ['-xOf', tar, path], { maxBuffer: 1 << 29 }).stdout;
    return content.readUInt32LE(0) === 0xfd2fb528 ? zstdDecompressSync(content) : content;
  };
  const [{ Layers }]: [{ Layers: string[] }] = JSON.parse(extract('manifest.json').toString());
  for (const layer of Layers) {
    const { status } = spawnSync('tar', ['-x', '-C', root], { input: extract(layer) });
    expect(status).toBe(0);
  }
  return root;
}

/** Runs a program of a root file system, with nothing of the host's in its environment. */
const inside = (root: string, command: string[], user = '65532:65532'): SpawnSyncReturns<string> =>
  spawnSync('/usr/sbin/chroot', ['--userspec', user, root, ...command], { encoding: 'utf8', env: {} });

describe('the crashcart image', () => {
  let root: string;
  beforeAll(() => {
    root = unpack('crashcart');
  });

  it.each(['controller', 'agent'])('starts the %s as 65532 without anything of the host', (program) => {
    const { status, stdout, stderr } = inside(root, ['/usr/bin/node', `/app/${program}.cjs`, '--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/usage/i);
  });

  it('calls the C library through koffi', () => {
    const script = "console.log(require('/app/node_modules/koffi').load('libc.so.6').func('int getuid()')())";
    expect(inside(root, ['/usr/bin/node', '-e', script])).toMatchObject({ status: 0, stdout: '65532\n' });
  });

  it('has crashcart-enter, static, so that nothing of a container is loaded into it', () => {
    const empty = join(directory, 'empty');
    mkdirSync(empty);
    writeFileSync(join(empty, 'enter'), readFileSync(join(root, 'usr/lib/crashcart/crashcart-enter')), { mode: 0o755 });
    // Without arguments it refuses; what counts is that it runs where there is no loader.
    const { status, error } = inside(empty, ['/enter'], '0:0');
    expect(error).toBeUndefined();
    expect([126, 127, null]).not.toContain(status);
  });

  it('has no shell, no package manager and nothing setuid', () => {
    const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const programs = files.filter((entry) => statSync(join(entry.parentPath, entry.name)).mode & 0o111);
    const names = programs.map(({ name }) => name).filter((name) => !/\.so(\.|$)/.test(name));
    expect(names.sort()).toEqual(['crashcart-enter', 'node']);
    for (const entry of files) expect(statSync(join(entry.parentPath, entry.name)).mode & 0o6000).toBe(0);
  });
});

describe('the toolbox image', () => {
  let root: string;
  let destination: string;
  beforeAll(() => {
    root = unpack('toolbox');
    mkdirSync(join(root, 'toolboxes'));
    destination = join(root, 'toolboxes/default.erofs');
  });
  const install = (...args: string[]) => inside(root, ['/crashcart-install', ...args], '0:0');

  it('installs the toolbox read-only and whole', () => {
    expect(install('/toolboxes/default.erofs')).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(sha256(readFileSync(destination))).toBe(sha256(readFileSync(inProject(transportFile))));
    expect(statSync(destination).mode & 0o7777).toBe(0o444);
  });

  it('replaces it under a reader, who keeps the old one, and takes a killed run’s leftover away', () => {
    writeFileSync(join(root, 'toolboxes/.crashcart-install.new'), 'a killed run');
    writeFileSync(join(root, 'new'), 'the new one');
    const before = statSync(destination).ino;
    const reader = openSync(destination, 'r');
    try {
      expect(install('/toolboxes/default.erofs', '/new').status).toBe(0);
      expect(readFileSync(destination, 'utf8')).toBe('the new one');
      expect(statSync(destination).ino).not.toBe(before);
      expect(sha256(readFileSync(reader))).toBe(sha256(readFileSync(inProject(transportFile))));
    } finally {
      closeSync(reader);
    }
    expect(readdirSync(join(root, 'toolboxes'))).toEqual(['default.erofs']);
  });

  it.each([
    [['/nowhere/default.erofs'], 'crashcart-install: open /nowhere/: No such file or directory\n'],
    [['/toolboxes/x', '/missing'], 'crashcart-install: open /missing: No such file or directory\n'],
    [['/toolboxes', '/new'], 'crashcart-install: rename /toolboxes: Is a directory\n'],
    [[], 'usage: crashcart-install DESTINATION [SOURCE]\n'],
  ])('says why it cannot install with %o, and leaves nothing behind', (args, complaint) => {
    expect(install(...args)).toMatchObject({ status: 1, stderr: complaint });
    expect(readdirSync(root)).not.toContain('.crashcart-install.new');
    expect(readdirSync(join(root, 'toolboxes'))).toEqual(['default.erofs']);
  });
});

describe('the toolbox', () => {
  let container: string;
  beforeAll(() => {
    container = join(directory, 'container');
    for (const path of ['dev/crashcart', 'etc']) mkdirSync(join(container, path), { recursive: true });
    writeFileSync(join(container, 'etc/bash.bashrc'), 'echo the container speaks\n');
    writeFileSync(join(container, 'etc/nsswitch.conf'), 'passwd: hostile\n');
    writeFileSync(join(container, 'etc/passwd'), 'app:x:65532:65532::/:/none\n');
  });

  /** Runs a script in the interactive shell of a container that has nothing but hostile start files. */
  function shell(script: string) {
    const chroot = `env -i TERM=dumb LANG=C.UTF-8 PATH=/dev/crashcart/bin:/dev/crashcart/sbin:/own CRASHCART_POD=web-0 \
      /usr/sbin/chroot --userspec 65532:65532 "$0" /dev/crashcart/profile/bin/bash --rcfile /dev/crashcart/.crashcartrc -i`;
    const commands = `mount -t erofs -o ro,nosuid,nodev "$1" "$0/dev/crashcart" && exec ${chroot}`;
    const image = inProject('build/toolbox/default.erofs');
    return spawnSync('unshare', ['-m', 'sh', '-c', commands, container, image], { input: script, encoding: 'utf8' });
  }

  it('has a shell that obeys none of the start files of the container', () => {
    const { stdout, stderr, status } = shell('id -un; exit 7\n');
    expect({ status, stdout }).toEqual({ status: 7, stdout: 'app\n' });
    expect(stderr).not.toContain('the container speaks');
  });

  it('tells in the prompt where one is, and how the last command ended', () => {
    const { stderr } = shell('cd /dev\n(exit 3)\n');
    expect(stderr).toContain('crashcart web-0:/dev $ ');
    expect(stderr).toContain('crashcart web-0:/dev [3] $ ');
  });

  it('lists its commands, reads UTF-8 and keeps no history', () => {
    const { stdout } = shell('tools nsenter; x=hé; echo "$x" | wc -m; echo $HISTFILE.; echo $PATH\n');
    const tools = 'processes\n  nsenter              run program in different namespaces\n';
    expect(stdout).toBe(`${tools}3\n.\n/dev/crashcart/bin:/dev/crashcart/sbin:/own\n`);
  });

  it('is the same file under another umask, and the one that is recorded', { timeout: 300_000 }, async () => {
    const lock = readLock(hostArchitecture());
    const again = join(directory, 'again.erofs');
    const umask = process.umask(0o077);
    try {
      await buildToolbox({ lock, toolbox: 'default', format: 'erofs', environment: process.env, out: again });
    } finally {
      process.umask(umask);
    }
    const digest = sha256(readFileSync(again));
    expect(digest).toBe(sha256(readFileSync(inProject('build/toolbox/default.erofs'))));
    expect(`sha256:${digest}`).toBe(recordedDigest(lock.architecture, 'default.erofs'));
  });
});
