import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readPackage } from './cache.ts';
import type { LockedPackage } from './lock.ts';

describe('readPackage', () => {
  const content = Buffer.from('the package');
  const sha256 = createHash('sha256').update(content).digest('hex');
  const wanted: LockedPackage = {
    name: 'thing',
    version: '1',
    source: 'thing 1',
    archive: 'debian',
    path: 'pool/main/t/thing/thing_1_all.deb',
    size: content.length,
    sha256,
    groups: [],
    depends: [],
  };
  let server: Server;
  let served: Map<string, string>;
  let requests: number;
  let environment: NodeJS.ProcessEnv;
  let directory: string;

  beforeEach(async () => {
    served = new Map();
    requests = 0;
    server = createServer((request, response) => {
      requests++;
      const found = served.get(request.url ?? '');
      response.writeHead(found === undefined ? 404 : 200).end(found);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const cache = mkdtempSync(join(tmpdir(), 'cache-'));
    directory = join(cache, 'debian');
    environment = { CRASHCART_CACHE: cache, DEBIAN_MIRROR: `http://127.0.0.1:${port}/debian` };
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(join(directory, '..'), { recursive: true });
  });
  const fetchThing = async () => (await readPackage(wanted, { environment, date: '2026-11-23T11:22:38Z' })).toString();

  it('asks the mirror once and the cache from then on', async () => {
    served.set(`/debian/${wanted.path}`, content.toString());
    expect(await fetchThing()).toBe('the package');
    expect(await fetchThing()).toBe('the package');
    expect(requests).toBe(1);
    expect(readdirSync(directory)).toEqual([`${sha256}.deb`]);
  });

  it('fetches again what was damaged in the cache', async () => {
    mkdirSync(directory);
    writeFileSync(join(directory, `${sha256}.deb`), 'damaged');
    served.set(`/debian/${wanted.path}`, content.toString());
    expect(await fetchThing()).toBe('the package');
    expect(readFileSync(join(directory, `${sha256}.deb`), 'utf8')).toBe('the package');
  });

  it('refuses other bytes than the lock says, and keeps nothing of them', async () => {
    served.set(`/debian/${wanted.path}`, 'thE package');
    await expect(fetchThing()).rejects.toThrow();
    expect(readdirSync(directory)).toEqual([]);
  });

  it('says what to do when the mirror no longer has the version', async () => {
    await expect(fetchThing()).rejects.toThrow(/crashcart-build lock.*DEBIAN_FALLBACK_MIRROR/);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('asks the second source for what the first no longer has, with the archive and the date of the lock', async () => {
    const mirror = environment['DEBIAN_MIRROR'] ?? '';
    environment['DEBIAN_FALLBACK_MIRROR'] = `${mirror.replace(/debian$/, '')}archive/{archive}/{date}/`;
    served.set(`/archive/debian/20261123T112238Z/${wanted.path}`, content.toString());
    expect(await fetchThing()).toBe('the package');
  });

  it('needs no network for what is there', async () => {
    served.set(`/debian/${wanted.path}`, content.toString());
    await fetchThing();
    environment['DEBIAN_MIRROR'] = 'http://127.0.0.1:1/debian';
    expect(await fetchThing()).toBe('the package');
  });
});
