/** `make bench-start`: from the start of the program to the first byte on the wire, and to the request, beside kubectl. No cluster is needed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from '../test/cluster/build.ts';
import { createTestCa } from '../test/support/pki.ts';
import { table } from './statistics.ts';

const rounds = Number(process.env['ROUNDS'] ?? 30);
const root = join(import.meta.dirname, '..');
const directory = mkdtempSync(join(tmpdir(), 'crashcart-start-'));

/** What was seen of the one client that runs, in milliseconds since its start. */
const seen = { from: 0, firstByte: 0, request: 0 };
const now = (): number => performance.now() - seen.from;

const ca = await createTestCa('bench');
const server = createServer(await ca.issue('localhost', ['localhost']), (_, response) => {
  seen.request ||= now();
  const body = JSON.stringify({ kind: 'Status', status: 'Failure', reason: 'Forbidden', message: 'no', code: 403 });
  response.writeHead(403, { 'content-type': 'application/json' }).end(body);
});
// The TLS server reads from the bare connection: its first bytes are the client's hello.
server.on('connection', () => {
  seen.firstByte ||= now();
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address() as AddressInfo;

const kubeconfig = join(directory, 'config');
const data = Buffer.from(ca.cert).toString('base64');
writeFileSync(
  kubeconfig,
  JSON.stringify({
    'current-context': 'a',
    contexts: [{ name: 'a', context: { cluster: 'a', user: 'a' } }],
    users: [{ name: 'a', user: { token: 't' } }],
    clusters: [{ name: 'a', cluster: { server: `https://localhost:${port}`, 'certificate-authority-data': data } }],
  }),
);

async function visit(file: string, args: readonly string[]): Promise<readonly [number, number]> {
  Object.assign(seen, { from: performance.now(), firstByte: 0, request: 0 });
  const env = { ...process.env, KUBECONFIG: kubeconfig, KUBECACHEDIR: directory };
  await once(spawn(file, [...args], { env, stdio: 'ignore' }), 'exit');
  if (seen.request === 0) throw new Error(`${file} ${args.join(' ')} has sent no request`);
  return [seen.firstByte, seen.request];
}

try {
  const binaries = await build((line) => void process.stderr.write(`${line}\n`));
  const kubectl = join(binaries.get('kubernetes') ?? '', 'kubectl');
  const contenders = [
    ['kubectl exec', kubectl, ['exec', 'web-0', '--', 'true']],
    ['kubectl crashcart', join(root, 'build/bin/kubectl-crashcart'), ['web-0', '--', 'true']],
  ] as const;
  const connections = new Map<string, number[]>(contenders.map(([name]) => [name, []]));
  const requests = new Map<string, number[]>(contenders.map(([name]) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, file, args] of contenders) {
      const [connection, request] = await visit(file, args);
      connections.get(name)?.push(connection);
      requests.get(name)?.push(request);
    }
  }
  process.stdout.write(
    [
      table('From the start of the program to its connection', 'ms', connections),
      table('From the start of the program to its first request, TLS handshake included', 'ms', requests),
    ].join('\n'),
  );
} finally {
  server.close();
  server.closeAllConnections();
  rmSync(directory, { recursive: true });
}
