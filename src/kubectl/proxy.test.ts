import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
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

test('a SOCKS proxy is refused with the reason', async () => {
  const text = readFileSync(api.kubeconfig, 'utf8').replace('{server:', '{proxy-url: "socks5://127.0.0.1:1", server:');
  writeFileSync(api.kubeconfig, text);
  expect((await runPlugin(api, ['ls'])).stderr).toMatch(
    /^error: the kubeconfig's proxy-url "socks5:.*" is not http or https/,
  );
});
