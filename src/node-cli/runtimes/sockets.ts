import { lstatSync, realpathSync, statSync } from 'node:fs';
import type { RuntimeName } from './runtime.ts';

/** Where distributions put them; the same socket under two names is asked once. */
const usual: Readonly<Record<Exclude<RuntimeName, 'pid'>, readonly string[]>> = {
  docker: ['/run/docker.sock', '/var/run/docker.sock'],
  podman: ['/run/podman/podman.sock'],
  containerd: [
    '/run/containerd/containerd.sock',
    '/run/k3s/containerd/containerd.sock',
    '/run/k0s/containerd.sock',
    '/var/snap/microk8s/common/run/containerd.sock',
  ],
  cri: [
    '/run/crio/crio.sock',
    '/run/containerd/containerd.sock',
    '/run/k3s/containerd/containerd.sock',
    '/run/k0s/containerd.sock',
    '/var/snap/microk8s/common/run/containerd.sock',
  ],
};

/** What the runtimes' own programs take, too. */
const variables: Readonly<Record<Exclude<RuntimeName, 'pid'>, string>> = {
  docker: 'DOCKER_HOST',
  podman: 'CONTAINER_HOST',
  containerd: 'CONTAINERD_ADDRESS',
  cri: 'CONTAINER_RUNTIME_ENDPOINT',
};

/** The sockets of one runtime that are there, the one that the environment names alone if it names one. */
export function socketsOf(name: Exclude<RuntimeName, 'pid'>, env: NodeJS.ProcessEnv): readonly string[] {
  const named = /^(?:unix:\/\/)?(\/.*)$/.exec(env[variables[name]] ?? '')?.[1];
  if (named !== undefined) return isSocket(named) ? [named] : [];
  const found = usual[name].filter((path) => isSocket(path) && isRoots(path));
  return found.filter((path, at) => found.findIndex((other) => realpathSync(other) === realpathSync(path)) === at);
}

function isSocket(path: string): boolean {
  try {
    return statSync(path).isSocket();
  } catch {
    return false;
  }
}

/** Who serves a socket decides which process root enters: not somebody else. */
const isRoots = (path: string): boolean => lstatSync(realpathSync(path)).uid === 0;
