import { CrashcartError, reasons } from '../../base/errors.ts';
import { runtimeNames } from '../command-table.ts';
import type { RuntimeChoice } from './choice.ts';
import { processes } from './process.ts';
import { isOnPath } from './programs.ts';
import type { Candidate, Runtime, RuntimeName } from './runtime.ts';
import { socketsOf } from './sockets.ts';

/** A container and who runs it. */
export interface Found {
  readonly candidate: Candidate;
  readonly runtime: Runtime;
}

export interface Listing {
  readonly found: readonly Found[];
  /** Runtimes whose socket is there and that did not answer. */
  readonly failures: readonly CrashcartError[];
}

/** Of those that were chosen, or of all whose socket (or, for podman, program) is there. */
export async function openRuntimes(
  choices: readonly RuntimeChoice[],
  env: NodeJS.ProcessEnv,
): Promise<readonly Runtime[]> {
  const wanted = choices.length > 0 ? choices : runtimeNames.map((name): RuntimeChoice => ({ name }));
  return (await Promise.all(wanted.map((choice) => openAll(choice, env)))).flat();
}

async function openAll({ name, socket }: RuntimeChoice, env: NodeJS.ProcessEnv): Promise<readonly Runtime[]> {
  if (name === 'pid') return [processes];
  const sockets = socket === undefined ? socketsOf(name, env) : [socket];
  // HTTP and gRPC are loaded only where there is somebody to speak them with: both take longer than the rest of the program.
  switch (name) {
    case 'docker': {
      if (sockets.length === 0) return [];
      const { openDocker } = await import('./docker.ts');
      return sockets.map(openDocker);
    }
    case 'podman': {
      if (sockets.length === 0 && !isOnPath('podman')) return [];
      const { openPodman } = await import('./podman.ts');
      return sockets.length === 0 ? [openPodman(undefined)] : sockets.map(openPodman);
    }
    case 'containerd': {
      if (sockets.length === 0) return [];
      const { openContainerd } = await import('./containerd/containerd.ts');
      return sockets.map(openContainerd);
    }
    case 'cri': {
      if (sockets.length === 0) return [];
      const { openCri } = await import('./cri.ts');
      return sockets.map(openCri);
    }
  }
}

/** Asks all of them at once. A container that two of them list (docker's is containerd's, too) is the first one's. */
export async function listAll(runtimes: readonly Runtime[]): Promise<Listing> {
  const lists = await Promise.allSettled(runtimes.map((runtime) => runtime.list()));
  const found: Found[] = [];
  const failures: CrashcartError[] = [];
  lists.forEach((list, at) => {
    const runtime = runtimes[at];
    if (runtime === undefined) return;
    if (list.status === 'fulfilled') found.push(...list.value.map((candidate) => ({ candidate, runtime })));
    // containerd without its CRI part is no failure.
    else if (!isUnimplemented(list.reason)) failures.push(CrashcartError.from(list.reason, reasons.RuntimeUnavailable));
  });
  return { found: withoutDoubles(found), failures };
}

const preference: readonly RuntimeName[] = ['docker', 'podman', 'cri', 'containerd', 'pid'];

/** Across runtimes only: in two namespaces of containerd an id may stand for two containers. */
export const withoutDoubles = (found: readonly Found[]): readonly Found[] =>
  found.filter(({ candidate, runtime }) => {
    const isPreferred = (other: RuntimeName): boolean => preference.indexOf(other) < preference.indexOf(runtime.name);
    return !found.some((other) => other.candidate.id === candidate.id && isPreferred(other.runtime.name));
  });

const grpcUnimplemented = 12;

export const isUnimplemented = (error: unknown): boolean =>
  error instanceof Error &&
  error.cause instanceof Error &&
  'code' in error.cause &&
  error.cause.code === grpcUnimplemented;
