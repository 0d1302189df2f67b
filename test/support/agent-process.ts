/** The bundled agent as a process of its own, as a node runs it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { programs } from '../../builder/bundle/bundles.ts';
import type { Loopback } from './gateway-loopback.ts';

const project = join(import.meta.dirname, '../..');

export interface AgentPlaces {
  readonly criSocket: string;
  readonly toolboxes?: string;
  readonly state: string;
  readonly recordings?: string;
  readonly gateway: Pick<Loopback, 'tunnelPort' | 'directory'>;
  readonly tokenFile: string;
  /** A program that starts it, with its arguments. */
  readonly under?: readonly string[];
}

export interface AgentProcess {
  readonly process: ChildProcess;
  /** Of metrics and health. */
  readonly port: number;
  log(): string;
  readonly exited: Promise<number | null>;
}

export async function launchAgent(places: AgentPlaces): Promise<AgentProcess> {
  const port = await freePort();
  const flags: Readonly<Record<string, string>> = {
    'cri-socket': places.criSocket,
    toolboxes: places.toolboxes ?? join(project, 'build/toolbox'),
    enter: join(project, 'build/native/crashcart-enter'),
    state: places.state,
    ...(places.recordings ? { recordings: places.recordings } : {}),
    gateway: 'localhost',
    'tunnel-port': `${places.gateway.tunnelPort}`,
    'ca-file': join(places.gateway.directory, 'ca.crt'),
    'token-file': places.tokenFile,
    'metrics-port': `${port}`,
  };
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const [file = '', ...rest] = [...(places.under ?? []), process.execPath, join(project, programs.agent.out), ...args];
  const agent = spawn(file, rest, {
    env: { NODE_NAME: 'node-1', PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  agent.stderr.setEncoding('utf8').on('data', (text: string) => {
    log = (log + text).slice(-mostLogBytes);
  });
  const exited = new Promise<number | null>((resolve) => void agent.once('exit', resolve));
  return { process: agent, port, log: () => log, exited };
}

const mostLogBytes = 1 << 20;

export const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
