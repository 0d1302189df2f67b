import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fetchPackages } from './cache.ts';
import type { LockedPackage } from './lock.ts';

describe('fetchPackages', () => {
  const content = Buffer.from('the package');
  const sha256 = createHash('sha256').update(content).digest('hex');
  const wanted: LockedPackage = {
    name: 'thing',
    version: '1',
    source: 'thing 1',
    path: 'pool/main/t/thing/thing_1_all.deb',
    size: content.length,
    sha256,
    groups: [],
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
  const fetchThing = async () => (await fetchPackages([wanted], environment)).get('thing')?.toString();

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
    await expect(fetchThing()).rejects.toThrow(/main\.ts lock.*DEBIAN_MIRROR/);
    expect(readdirSync(directory)).toEqual([]);
  });
});
