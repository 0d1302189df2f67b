import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { parseRuntimeInfo } from '../../node-agent/target/runtime-spec.ts';
import { execFlags } from './docker.ts';
import { array, object, pidOf, strings, text } from './json.ts';
import type { Candidate, Described, Runtime } from './runtime.ts';
import { getJson } from './unix-http.ts';

/** Podman needs no daemon: where its socket is not served, its program gives the same answers. */
export function openPodman(socket: string | undefined): Runtime {
  const ask = socket === undefined ? askProgram : askSocket(socket);
  return {
    name: 'podman',
    where: socket ?? 'podman',
    version: () => ask.version(),
    list: async () => parsePodmanList(await ask.list()),
    describe: async ({ id }) => {
      const answer = await ask.inspect(id);
      return answer === undefined ? undefined : describePodman(answer);
    },
    exec: ({ id }, request) => [
      'podman',
      ...(socket === undefined ? [] : ['--url', `unix://${socket}`]),
      'exec',
      ...execFlags(request),
      id,
      ...request.command,
    ],
    [Symbol.dispose]: () => {},
  };
}

interface Ask {
  version(): Promise<string>;
  list(): Promise<unknown>;
  inspect(id: string): Promise<unknown>;
}

const api = '/v4.0.0/libpod';

const askSocket = (socket: string): Ask => ({
  version: async () => text(object(await getJson(socket, `${api}/version`))['Version']) || 'unknown',
  list: () => getJson(socket, `${api}/containers/json?all=true&pod=true`),
  inspect: (id) => getJson(socket, `${api}/containers/${encodeURIComponent(id)}/json`),
});

const askProgram: Ask = {
  version: async () =>
    text(object(object(await podman('version', '--format', 'json'))['Client'])['Version']) || 'unknown',
  list: () => podman('ps', '--all', '--pod', '--format', 'json'),
  inspect: async (id) => array(await podman('inspect', '--type', 'container', '--', id))[0],
};

async function podman(...args: readonly string[]): Promise<unknown> {
  try {
    const { stdout } = await promisify(execFile)('podman', [...args], { timeout: 10_000, maxBuffer: 32 << 20 });
    return JSON.parse(stdout);
  } catch (cause) {
    throw new CrashcartError(reasons.RuntimeUnavailable, `"podman ${args[0]}" failed.`, { cause });
  }
}

export const parsePodmanList = (answer: unknown): readonly Candidate[] =>
  array(answer)
    .map(object)
    // The container that only holds a pod's namespaces has nothing to look at.
    .filter((container) => container['IsInfra'] !== true)
    .map((container) => {
      const names = strings(container['Names']);
      const [pod, podName] = [text(container['Pod']), text(container['PodName'])];
      const state = text(container['State']);
      return {
        runtime: 'podman',
        id: text(container['Id']),
        names,
        ...(pod === '' ? {} : { pod: { id: pod, name: podName, container: names[0] ?? '' } }),
        state,
        running: state === 'running' || state === 'paused',
      };
    });

export interface PodmanInspect {
  readonly pid: number;
  /** The container's OCI specification, in a directory of root's. */
  readonly specFile: string;
  /** Path of the OCI runtime. */
  readonly runtime: string;
}

export const parsePodmanInspect = (answer: unknown): PodmanInspect => ({
  pid: pidOf(object(object(answer)['State'])['Pid']),
  specFile: text(object(answer)['OCIConfigPath']),
  runtime: text(object(answer)['OCIRuntime']),
});

function describePodman(answer: unknown): Described {
  const { pid, specFile, runtime } = parsePodmanInspect(answer);
  const runtimeSpec: unknown = JSON.parse(readFileSync(specFile, 'utf8'));
  const { spec } = parseRuntimeInfo(JSON.stringify({ pid, runtimeSpec }));
  return { pid, spec, ...(runtime ? { runtimeBinary: runtime } : {}) };
}
