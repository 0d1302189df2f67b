import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Image, writeImage } from './archive.ts';

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');

describe('writeImage', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'archive-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const image = (name: string): Image => {
    const source = join(directory, `${name}-source`);
    writeFileSync(source, 'a program');
    return {
      ref: 'localhost/thing:1',
      layers: [
        {
          entries: [
            { path: 'usr/bin/program', type: 'file', mode: 0o755, source },
            { path: 'etc/passwd', type: 'file', content: 'root:x:0:0::/:/none\n' },
            { path: 'bin', type: 'symlink', target: 'usr/bin' },
            { path: 'home/nonroot', type: 'directory', mode: 0o700, uid: 65532, gid: 65532 },
          ],
        },
      ],
      config: { entrypoint: ['/usr/bin/program'], user: '65532', labels: { b: '2', a: '1' }, env: { Z: '1', A: '2' } },
      out: join(directory, name, 'image.tar'),
      epoch: 1_700_000_000,
      architecture: 'amd64',
    };
  };
  const extract = (tar: string, path: string) => execFileSync('tar', ['-xOf', tar, path], { encoding: 'buffer' });

  it('writes the same bytes into another directory, under another umask, from files with other modes and times', async () => {
    const [one, two] = [image('one'), image('two')];
    await writeImage(one);
    chmodSync(join(directory, 'two-source'), 0o600);
    execFileSync('touch', ['-d', '2001-01-01', join(directory, 'two-source')]);
    const umask = process.umask(0o077);
    try {
      await writeImage(two);
    } finally {
      process.umask(umask);
    }
    expect(sha256(readFileSync(two.out))).toBe(sha256(readFileSync(one.out)));
  });

  it('names every blob by the digest of its bytes, and the manifest by the digest it returns', async () => {
    const built = image('built');
    const { digest } = await writeImage(built);
    const index = JSON.parse(extract(built.out, 'index.json').toString());
    expect(index.manifests[0].digest).toBe(digest);
    const blobs =
      execFileSync('tar', ['-tf', built.out], { encoding: 'utf8' }).match(/blobs\/sha256\/\S+[^/\n]/g) ?? [];
    expect(blobs).toHaveLength(3);
    for (const blob of blobs) expect(`blobs/sha256/${sha256(extract(built.out, blob))}`).toBe(blob);
  });

  it('gives docker and OCI readers the same config and layers', async () => {
    const built = image('built');
    const { digest } = await writeImage(built);
    const [docker] = JSON.parse(extract(built.out, 'manifest.json').toString());
    const manifest = JSON.parse(extract(built.out, `blobs/sha256/${digest.slice(7)}`).toString());
    expect(docker.Config).toBe(`blobs/sha256/${manifest.config.digest.slice(7)}`);
    expect(docker.Layers).toEqual(
      manifest.layers.map((layer: { digest: string }) => `blobs/sha256/${layer.digest.slice(7)}`),
    );
    const config = JSON.parse(extract(built.out, docker.Config).toString());
    expect(config.config).toMatchObject({ User: '65532', Env: ['A=2', 'Z=1'], Entrypoint: ['/usr/bin/program'] });
    expect(config.rootfs.diff_ids).toEqual(manifest.layers.map((layer: { digest: string }) => layer.digest));
  });

  it('writes layers that tar lists with the owners, modes and parents that were asked for', async () => {
    const built = image('built');
    await writeImage(built);
    const [docker] = JSON.parse(extract(built.out, 'manifest.json').toString());
    const layer = join(directory, 'layer.tar');
    writeFileSync(layer, extract(built.out, docker.Layers[0]));
    const listing = execFileSync('tar', ['--utc', '--numeric-owner', '-tvf', layer], { encoding: 'utf8' });
    expect(listing.split('\n').map((line) => line.replace(/\s+/g, ' '))).toEqual([
      'lrwxrwxrwx 0/0 0 2023-11-14 22:13 bin -> usr/bin',
      'drwxr-xr-x 0/0 0 2023-11-14 22:13 etc/',
      '-rw-r--r-- 0/0 20 2023-11-14 22:13 etc/passwd',
      'drwxr-xr-x 0/0 0 2023-11-14 22:13 home/',
      'drwx------ 65532/65532 0 2023-11-14 22:13 home/nonroot/',
      'drwxr-xr-x 0/0 0 2023-11-14 22:13 usr/',
      'drwxr-xr-x 0/0 0 2023-11-14 22:13 usr/bin/',
      '-rwxr-xr-x 0/0 9 2023-11-14 22:13 usr/bin/program',
      '',
    ]);
  });

  it.each([
    ['twice', [1, 2].map(() => ({ path: 'a', type: 'directory' as const }))],
    ['not a plain relative path', [{ path: '../a', type: 'directory' as const }]],
    ['too long a path', [{ path: 'a'.repeat(101), type: 'directory' as const }]],
  ])('refuses an archive with a path that is %s', async (problem, entries) => {
    await expect(writeImage({ ...image('bad'), layers: [{ entries }] })).rejects.toThrow(problem);
  });
});
