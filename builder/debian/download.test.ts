import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { download } from './download.ts';

describe('download on a machine without apt', () => {
  let server: Server;
  let answer: RequestListener;
  let directory: string;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'download-'));
    server = createServer((request, response) => answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  });
  const downloadThing = () => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/pool/thing.deb`;
    return download([{ url, path: join(directory, 'thing'), size: 5, sha256: 'not looked at here' }], '/no/apt-helper');
  };

  it('fetches, and tries again when the server fails once', async () => {
    let requests = 0;
    answer = (_request, response) => {
      requests++;
      response.writeHead(requests === 1 ? 503 : 200).end('thing');
    };
    await downloadThing();
    expect(readFileSync(join(directory, 'thing'), 'utf8')).toBe('thing');
    expect(requests).toBe(2);
  });

  it('says at once what to do about a version that is gone', async () => {
    let requests = 0;
    answer = (_request, response) => {
      requests++;
      response.writeHead(404).end();
    };
    await expect(downloadThing()).rejects.toThrow(/thing\.deb: Debian removes.*crashcart-build lock/);
    expect(requests).toBe(1);
  });

  it('gives up a body that is longer than the lock says', async () => {
    answer = (_request, response) => response.writeHead(200).end('thing and more');
    await expect(downloadThing()).rejects.toThrow('check the network and the mirror');
    expect(readdirSync(directory)).toEqual([]);
  });
});
