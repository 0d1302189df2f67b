import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { describe, expect, test } from 'vitest';
import { authorityIsDue, expiresAtMs, makeAuthority, makeServing, servingIsDue } from './authority.ts';

const now = Date.now();
const dayMs = 86_400_000;
const names = ['crashcart.crashcart-system.svc', 'crashcart-tunnel.crashcart-system.svc'];

describe('the serving certificate', () => {
  test('is trusted by a TLS client for each of its names, and for no other', async () => {
    const authority = await makeAuthority(now);
    const server = tls.createServer(await makeServing(authority, names, now), (socket) => socket.end());
    server.on('tlsClientError', () => {});
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const dial = async (servername: string): Promise<void> => {
      const { port } = server.address() as AddressInfo;
      const socket = tls.connect({ port, host: '127.0.0.1', servername, ca: authority.cert });
      await once(socket, 'secureConnect').finally(() => socket.destroy());
    };
    try {
      for (const name of names) await dial(name);
      await expect(dial('kubernetes.default.svc')).rejects.toThrow(/altnames/i);
    } finally {
      server.close();
    }
  });

  test('is renewed when a third of its life is left', async () => {
    const authority = await makeAuthority(now);
    const serving = await makeServing(authority, names, now);
    expect(servingIsDue(serving, authority, names, now)).toBe(false);
    expect(servingIsDue(serving, authority, names, now + 19 * dayMs)).toBe(false);
    expect(servingIsDue(serving, authority, names, now + 21 * dayMs)).toBe(true);
    expect(expiresAtMs(serving)).toBeCloseTo(now + 30 * dayMs, -4);
  });

  test('is replaced when it is of another authority, for other names, with another key, or no certificate', async () => {
    const [authority, other] = await Promise.all([makeAuthority(now), makeAuthority(now)]);
    const [serving, stranger] = await Promise.all([makeServing(authority, names, now), makeServing(other, names, now)]);
    expect(servingIsDue(stranger, authority, names, now)).toBe(true);
    expect(servingIsDue(serving, authority, [...names, 'more.svc'], now)).toBe(true);
    expect(servingIsDue({ ...serving, key: stranger.key }, authority, names, now)).toBe(true);
    expect(servingIsDue({ key: '', cert: '' }, authority, names, now)).toBe(true);
    expect(expiresAtMs({ ...serving, key: stranger.key })).toBeUndefined();
  });
});

describe('the authority', () => {
  test('holds ten years and gets its successor a year before', async () => {
    const authority = await makeAuthority(now);
    expect(authorityIsDue(authority, now)).toBe(false);
    expect(authorityIsDue(authority, now + 3_284 * dayMs)).toBe(false);
    expect(authorityIsDue(authority, now + 3_286 * dayMs)).toBe(true);
    expect(authorityIsDue({ key: 'x', cert: 'y' }, now)).toBe(true);
  });

  test('is trusted together with the one before, and signs with its own key', async () => {
    const old = await makeAuthority(now - 3_290 * dayMs);
    const next = await makeAuthority(now, old);
    expect(next.cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
    expect(authorityIsDue(next, now)).toBe(false);
    expect(servingIsDue(await makeServing(next, names, now), next, names, now)).toBe(false);
  });
});
