/** Against the usual library's server: what is said on the wire is not ours to define. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer as createHttp2Server } from 'node:http2';
import { createServer, type Server as SocketServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Descriptor, GrpcError, grpcCodes, openUnaryClient } from './unary.ts';

const labels = { keyType: 'string', type: 'string', id: 4 };

const descriptor: Descriptor = {
  nested: {
    test: {
      nested: {
        Colour: { values: { RED: 0, BLUE: 7 } },
        Question: { fields: { text: { type: 'string', id: 1 }, size: { type: 'uint32', id: 2 } } },
        Answer: {
          fields: {
            text: { type: 'string', id: 1 },
            colour: { type: 'Colour', id: 2 },
            bytes: { type: 'bytes', id: 3 },
            labels,
            inner: { type: 'Question', id: 5 },
            list: { rule: 'repeated', type: 'string', id: 6 },
          },
        },
        Service: { methods: { Ask: { comment: '', requestType: 'Question', responseType: 'Answer' } } },
      },
    },
  },
};

interface Call {
  readonly request: { readonly text: string; readonly size: number };
  readonly metadata: { get(name: string): unknown[] };
}
type Answer = (call: Call, done: (error: { code: number; details: string } | null, answer?: object) => void) => void;

let directory: string;
let socketPath: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crashcart-unary-'));
  socketPath = join(directory, 'socket');
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Its connections end with it. */
async function serve(answer: Answer): Promise<AsyncDisposable> {
  const server = new Server({ 'grpc.max_send_message_length': -1 });
  const definition = fromJSON(descriptor as Parameters<typeof fromJSON>[0])['test.Service'] as ServiceDefinition;
  server.addService(definition, { Ask: answer } as unknown as UntypedServiceImplementation);
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    ),
  );
  return {
    [Symbol.asyncDispose]: async () => {
      server.forceShutdown();
      rmSync(socketPath, { force: true });
    },
  };
}

/** Whatever it does with a connection: no gRPC at all. */
async function listen(server: SocketServer): Promise<AsyncDisposable> {
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return { [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())) };
}

const open = (bounds: { deadlineMs?: number; maxMessageBytes?: number } = {}) =>
  openUnaryClient({ socketPath, descriptor, deadlineMs: 10_000, maxMessageBytes: 1 << 20, ...bounds });

const ask = (client: ReturnType<typeof open>, request: object = {}, metadata = {}) =>
  client.call<Record<string, unknown>>('test.Service', 'Ask', request, metadata);

test('an answer has every field, by the names of its enum and with its defaults', async () => {
  await using _ = await serve(({ request, metadata }, done) =>
    done(null, { text: `${request.text} ${metadata.get('who')}`, colour: 'BLUE', bytes: Buffer.from([1, 2]) }),
  );
  using client = open();
  expect(await ask(client, { text: 'hö' }, { who: 'me' })).toEqual({
    text: 'hö me',
    colour: 'BLUE',
    bytes: Buffer.from([1, 2]),
    labels: {},
    inner: null,
    list: [],
  });
});

test('many questions at once each get their own answer, over one connection', async () => {
  await using _ = await serve(({ request: { text, size } }, done) => void setTimeout(done, size, null, { text }));
  using client = open();
  const answers = await Promise.all([30, 10, 20, 0].map((size) => ask(client, { text: `${size}`, size })));
  expect(answers.map(({ text }) => text)).toEqual(['30', '10', '20', '0']);
});

test("a refusal has the daemon's code and its words", async () => {
  await using _ = await serve((_call, done) => done({ code: grpcCodes.notFound, details: 'no 100 % "ö"\n' }));
  using client = open();
  const refusal = await ask(client).catch((error: unknown) => error);
  expect(refusal).toBeInstanceOf(GrpcError);
  expect(refusal).toMatchObject({ code: grpcCodes.notFound, message: 'no 100 % "ö"\n' });
});

test('a service that the daemon does not have is unimplemented', async () => {
  await using _ = await serve(() => {});
  const other = { nested: { other: descriptor.nested!['test']! } };
  using client = openUnaryClient({ socketPath, descriptor: other, deadlineMs: 10_000, maxMessageBytes: 1024 });
  await expect(client.call('other.Service', 'Ask', {})).rejects.toMatchObject({ code: grpcCodes.unimplemented });
});

test('an answer of many frames arrives whole, and one above the bound not at all', async () => {
  await using _ = await serve(({ request: { size } }, done) => done(null, { text: 'x'.repeat(size) }));
  using client = open({ maxMessageBytes: 500_000 });
  expect(((await ask(client, { size: 400_000 }))['text'] as string).length).toBe(400_000);
  await expect(ask(client, { size: 600_000 })).rejects.toMatchObject({ code: grpcCodes.resourceExhausted });
  expect(((await ask(client, { size: 3 }))['text'] as string).length).toBe(3);
});

test('a daemon that does not answer costs the deadline and no more', async () => {
  await using _ = await serve(() => {});
  using client = open({ deadlineMs: 100 });
  await expect(ask(client)).rejects.toMatchObject({ code: grpcCodes.deadlineExceeded });
});

test('a daemon that takes the connection and says nothing costs the deadline as well', async () => {
  const sockets: { destroy(): void }[] = [];
  await using _ = await listen(createServer((socket) => void sockets.push(socket.on('error', () => {}))));
  using client = open({ deadlineMs: 100 });
  await expect(ask(client)).rejects.toMatchObject({ code: grpcCodes.deadlineExceeded });
  for (const socket of sockets) socket.destroy();
});

test('where nobody listens, the reason is named', async () => {
  using client = open();
  await expect(ask(client)).rejects.toMatchObject({
    code: grpcCodes.unavailable,
    message: expect.stringContaining('ENOENT'),
  });
});

test('a daemon that was started again is asked over a new connection', async () => {
  using client = open();
  for (const text of ['first', 'second']) {
    await using _ = await serve((_call, done) => done(null, { text }));
    expect((await ask(client))['text']).toBe(text);
  }
});

test('a question whose connection ends before its answer is asked once more', async () => {
  let asked = 0;
  using client = open();
  const first = await serve((_call, done) => {
    if (asked++ === 0) return done(null, { text: 'first' });
    void first[Symbol.asyncDispose]().then(() => serve((_again, answer) => answer(null, { text: 'second' })));
  });
  expect((await ask(client))['text']).toBe('first');
  expect((await ask(client))['text']).toBe('second');
});

test.each([
  ['what is no HTTP/2', createServer((socket) => void socket.resume().end('HTTP/1.1 400 Bad\r\n\r\n'))],
  ['an HTTP error', createHttp2Server((_request, response) => void response.writeHead(503).end())],
  ['an answer without its end', createHttp2Server((_request, response) => void response.writeHead(200).end())],
])('%s is a daemon that cannot be used', async (_, server) => {
  await using _listening = await listen(server as SocketServer);
  using client = open();
  await expect(ask(client)).rejects.toMatchObject({ code: grpcCodes.unavailable });
});

test.each([
  ['a length that is not true', Buffer.from([0, 0, 0, 0, 9, 1])],
  ['compression that nobody offered', Buffer.from([1, 0, 0, 0, 0])],
  ['no message', Buffer.alloc(0)],
  ['what is no such message', Buffer.from([0, 0, 0, 0, 1, 0x0f])],
])('an answer with %s is refused', async (_, body) => {
  const server = createHttp2Server((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/grpc' });
    response.addTrailers({ 'grpc-status': '0' });
    response.end(body);
  });
  await using _listening = await listen(server as unknown as SocketServer);
  using client = open();
  await expect(ask(client)).rejects.toMatchObject({ code: grpcCodes.internal });
});
