/** For tests: a TLS server that answers as a test says, and a client of it. What it cannot show (apply, admission) is test/e2e's. */
import 'reflect-metadata';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import * as x509 from '@peculiar/x509';
import { createKubeClient, type KubeClient } from './client.ts';

export interface Exchange {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  /** Parsed JSON, undefined without a body. */
  readonly body: unknown;
  json(code: number, body: unknown, headers?: Record<string, string>): void;
  readonly response: ServerResponse;
}

export interface ApiServerFixture extends AsyncDisposable {
  readonly client: KubeClient;
  readonly exchanges: readonly Exchange[];
  /** Cuts every connection. */
  cut(): void;
}

export async function startApiServer(answer: (exchange: Exchange) => void): Promise<ApiServerFixture> {
  const { key, cert } = await selfSigned();
  const exchanges: Exchange[] = [];
  const server = createServer({ key, cert }, async (request, response) => {
    const exchange = await readExchange(request, response);
    exchanges.push(exchange);
    answer(exchange);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = createKubeClient({
    server: new URL(`https://127.0.0.1:${port}`),
    namespace: 'default',
    credentials: async () => ({ tls: { ca: cert }, headers: { authorization: 'Bearer t' } }),
  });
  return {
    client,
    exchanges,
    cut: () => server.closeAllConnections(),
    async [Symbol.asyncDispose]() {
      client.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function readExchange(request: IncomingMessage, response: ServerResponse): Promise<Exchange> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  return {
    method: request.method ?? '',
    url: new URL(request.url ?? '/', 'https://api'),
    headers: request.headers,
    body: text === '' ? undefined : JSON.parse(text),
    json(code, body, headers = {}) {
      response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
    },
    response,
  };
}

export const statusBody = (code: number, reason: string, message = reason): object => ({
  apiVersion: 'v1',
  kind: 'Status',
  status: 'Failure',
  code,
  reason,
  message,
});

async function selfSigned(): Promise<{ key: string; cert: string }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=test',
    notAfter: new Date(Date.now() + 3_600_000),
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
  });
  const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
    cert: certificate.toString('pem'),
  };
}
