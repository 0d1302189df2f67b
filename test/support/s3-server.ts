/** A real S3 server on loopback, its data in a directory of the test's. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from '../cluster/build.ts';

export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  readonly bucket: string;
  /** Directory with accessKeyId and secretAccessKey. */
  readonly credentials: string;
  /** Where the server keeps the objects of the bucket. */
  readonly objects: string;
  readonly pid: number;
}

const accessKeyId = 'recorder';
const secretAccessKey = 'not-a-secret-of-anybody';

/** `directory` is the test's to remove. A `port` is for a server that comes back at its old place. */
export async function startS3Server(directory: string, port?: number): Promise<S3Server> {
  const program = join((await build(() => {})).get('versitygw') ?? '', 'versitygw');
  const data = join(directory, 'data');
  const credentials = join(directory, 'credentials');
  const bucket = 'recordings';
  for (const each of [credentials, join(data, bucket)]) mkdirSync(each, { recursive: true });
  writeFileSync(join(credentials, 'accessKeyId'), accessKeyId);
  writeFileSync(join(credentials, 'secretAccessKey'), `${secretAccessKey}\n`);
  const at = port ?? (await freePort());
  const child = spawn(program, ['--port', `127.0.0.1:${at}`, '--region', 'us-east-1', 'posix', data], {
    env: { PATH: process.env['PATH'], ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  const endpoint = `http://127.0.0.1:${at}`;
  await listening(endpoint, child, () => said);
  return {
    endpoint,
    bucket,
    credentials,
    objects: join(data, bucket),
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: () => stop(child),
  };
}

async function listening(endpoint: string, child: ChildProcess, said: () => string): Promise<void> {
  for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(50)) {
    if (child.exitCode !== null) break;
    if (await fetch(endpoint).catch(() => undefined)) return;
  }
  throw new Error(`the S3 server does not listen; it said:\n${said()}`);
}

function stop(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null) return resolve();
    child.once('exit', () => resolve());
    child.kill('SIGKILL');
  });
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
