import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ApiDouble } from '../../test/support/api-double.ts';
import { runPlugin } from '../../test/support/plugin-process.ts';
import { ScriptedShell } from '../../test/support/scripted-shell.ts';

vi.setConfig({ testTimeout: 60_000 });

let api: ApiDouble;
let proxy: Server;
let tunnels: string[];
beforeEach(async () => {
  api = await ApiDouble.start();
  api.attached = (socket) => {
    const far = new ScriptedShell(socket);
    far.out('through');
    far.exit(0);
  };
  tunnels = [];
  proxy = createServer();
  proxy.on('connect', (request, socket) => {
    tunnels.push(request.url ?? '');
    const [host, port] = (request.url ?? '').split(':');
    const upstream = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(upstream).pipe(socket);
    });
    for (const end of [socket, upstream]) end.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  proxy.closeAllConnections();
  proxy.close();
  await api.close();
});

const proxyUrl = () => `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
const target = () => api.server.replace('https://', '');

test('the proxy-url of the kubeconfig carries a session', async () => {
  const text = readFileSync(api.kubeconfig, 'utf8').replace('{server:', `{proxy-url: "${proxyUrl()}", server:`);
  writeFileSync(api.kubeconfig, text);
  const { code, stdout, stderr } = await runPlugin(api, ['web-0', '--', 'true']);
  expect([code, stdout.toString(), stderr]).toEqual([0, 'through', '']);
  expect(new Set(tunnels)).toEqual(new Set([target()]));
});

test('HTTPS_PROXY carries a session, and NO_PROXY keeps it away', async () => {
  vi.stubEnv('HTTPS_PROXY', proxyUrl());
  vi.stubEnv('NO_PROXY', '');
  expect((await runPlugin(api, ['web-0', '--', 'true'])).stdout.toString()).toBe('through');
  expect(new Set(tunnels)).toEqual(new Set([target()]));
  tunnels.length = 0;
  vi.stubEnv('NO_PROXY', '127.0.0.1');
  expect((await runPlugin(api, ['web-0', '--', 'true'])).stdout.toString()).toBe('through');
  expect(tunnels).toEqual([]);
  vi.unstubAllEnvs();
});

test('a SOCKS proxy carries a session, and gets the name to resolve', async () => {
  const asked: string[] = [];
  const socks = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(Buffer.from([5, 0]));
      socket.once('data', (request) => {
        asked.push(request[3] === 3 ? request.subarray(5, 5 + (request[4] ?? 0)).toString() : `type ${request[3]}`);
        const upstream = connect(request.readUInt16BE(request.length - 2), '127.0.0.1', () => {
          socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]));
          socket.pipe(upstream).pipe(socket);
        });
        upstream.on('error', () => undefined);
      });
    });
  });
  await new Promise<void>((resolve) => socks.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = socks.address() as AddressInfo;
    const flags = ['--proxy-url', `socks5://127.0.0.1:${port}`, '--tls-server-name', 'localhost'];
    const server = api.server.replace('127.0.0.1', 'only-there.invalid');
    const { code, stdout, stderr } = await runPlugin(api, [...flags, '-s', server, 'web-0', '--', 'true']);
    expect([code, stdout.toString(), stderr]).toEqual([0, 'through', '']);
    expect(new Set(asked)).toEqual(new Set(['only-there.invalid']));
  } finally {
    socks.close();
  }
});

test('another kind of proxy is refused with the reason', async () => {
  expect((await runPlugin(api, ['ls', '--proxy-url', 'ftp://127.0.0.1:1'])).stderr).toMatch(
    /^error: the proxy-url "ftp:.*" is not http, https or socks5/,
  );
});
