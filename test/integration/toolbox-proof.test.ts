import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hostArchitecture, readLock } from '../../builder/debian/lock.ts';
import { proveEmulated } from '../../builder/prove/emulated.ts';
import { prove } from '../../builder/prove/prove.ts';
import { buildToolbox } from '../../builder/toolbox/build.ts';
import { recordedDigest } from '../../builder/toolbox/digests.ts';

const mountsOf = (): string => readFileSync('/proc/self/mountinfo', 'utf8');
const tell = (line: string): void => void process.stderr.write(`${line}\n`);

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'toolbox-proof-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function build(toolbox: string, architecture: 'amd64' | 'arm64'): Promise<string> {
  const out = join(directory, `${toolbox}-${architecture}.erofs`);
  await buildToolbox({ lock: readLock(architecture), toolbox, format: 'erofs', environment: process.env, out });
  const digest = createHash('sha256').update(readFileSync(out)).digest('hex');
  expect(`sha256:${digest}`).toBe(recordedDigest(architecture, `${toolbox}.erofs`));
  return out;
}

describe('the core toolbox', () => {
  it('starts every command in four environments, and does real work in a hostile one', {
    timeout: 600_000,
  }, async () => {
    const lock = readLock(hostArchitecture());
    const image = await build('core', lock.architecture);
    const before = mountsOf();
    const proof = await prove({ image, type: 'erofs', lock, environment: process.env, tell });
    expect(proof.failures).toEqual([]);
    expect(proof.commands).toBeGreaterThan(400);
    expect(Object.values(proof.passed)).toEqual(Array(4).fill(proof.commands));
    expect(proof.works.length).toBeGreaterThan(20);
    expect(mountsOf()).toBe(before);
  });
});

describe('the slim toolbox for the other architecture', () => {
  it('is built here, and starts every program under qemu in a hostile container', { timeout: 600_000 }, async () => {
    const lock = readLock(hostArchitecture());
    const other = lock.architecture === 'amd64' ? 'arm64' : 'amd64';
    const image = await build('slim', other);
    const proof = await proveEmulated({ image, type: 'erofs', lock, environment: process.env, tell }, other);
    expect(proof.failures).toEqual([]);
    expect(proof.commands).toBeGreaterThan(50);
  });
});
