import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, credentials, type ServiceDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import { build } from '../../cluster/build.ts';
import { removeCgroups } from '../../cluster/cgroup.ts';
import { run, systemPath, until } from '../../cluster/command.ts';
import { buildTestImages, testImages } from '../../cluster/test-images.ts';
import { eventually } from '../eventually.ts';
import { makingDescriptor } from './descriptor.ts';

export interface PodOptions {
  readonly uid: string;
  readonly image: keyof typeof testImages;
  readonly command?: readonly string[];
  readonly readOnly?: boolean;
}

export interface RunningContainer {
  /** With its scheme, as a pod's status has it. */
  readonly id: string;
  readonly podSandboxId: string;
  stop(): Promise<void>;
  remove(): Promise<void>;
  /** With all its containers, whether they run or not. */
  removePod(): Promise<void>;
}

/** A real containerd with mounts, network and directories of its own; the pids of its containers are this machine's. */
export interface Containerd extends AsyncDisposable {
  readonly socket: string;
  /** Where its pods' cgroups are, in every hierarchy. */
  readonly cgroup: string;
  runContainer(options: PodOptions): Promise<RunningContainer>;
  /** SIGKILL, and a new one in its place, which finds the containers again. */
  crash(): Promise<void>;
}

const node = 2;

export async function startContainerd(): Promise<Containerd> {
  const directory = mkdtempSync(join(tmpdir(), 'crashcart-containerd-'));
  const cgroup = `crashcart-test-${process.pid}`;
  const binaries = await build(() => {});
  const images = await buildTestImages();
  const socket = join(directory, 'containerd.sock');
  const place = makePlace();
  await once(place.stdout!, 'data');
  let daemon = startDaemon(directory, binaries, place.pid!);
  const call = connect(socket);
  const pods = new Set<string>();
  const dispose = async (): Promise<void> => {
    for (const podSandboxId of pods) await removePod(call, podSandboxId);
    call.close();
    await stopDaemon(daemon);
    await stopDaemon(place);
    rmSync(directory, { recursive: true, force: true });
    await until(`the cgroup ${cgroup} to go`, () => removeCgroups(cgroup) || undefined, { timeout: 10_000 });
  };
  try {
    await until('containerd to answer', () => existsSync(socket) || undefined, { timeout: 20_000 });
    const ctr = join(binaries.get('containerd') ?? '', 'ctr');
    for (const image of Object.values(images)) {
      await run(ctr, ['--address', socket, '--namespace', 'k8s.io', 'images', 'import', image]);
    }
  } catch (error) {
    const log = readFileSync(join(directory, 'log'), 'utf8').slice(-4_000);
    await dispose();
    throw new Error(`containerd did not start; its log ends with:\n${log}`, { cause: error });
  }
  return {
    socket,
    cgroup,
    runContainer: (options) => runContainer(call, options, { cgroup, directory, pods }),
    crash: async () => {
      const ended = once(daemon, 'exit');
      daemon.kill('SIGKILL');
      await ended;
      daemon = startDaemon(directory, binaries, place.pid!);
      await until('containerd to answer again', () => call('Version', {}).catch(() => undefined), { timeout: 20_000 });
    },
    [Symbol.asyncDispose]: dispose,
  };
}

const config = (directory: string, runc: string): string => `version = 3
root = '${directory}/root'
state = '${directory}/state'
disabled_plugins = ['io.containerd.nri.v1.nri']

[grpc]
  address = '${directory}/containerd.sock'

[ttrpc]
  address = '${directory}/containerd.sock.ttrpc'

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '${testImages.pause}'

[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = '${runc}'
`;

/** Shims put their sockets below /run whatever the configuration says: they get a /run of their own, which outlives the daemon. */
const makePlace = (): ChildProcess =>
  spawn('unshare', ['--mount', '--net', 'sh', '-c', 'mount -t tmpfs tmpfs /run && echo ready && exec sleep infinity'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });

function startDaemon(directory: string, binaries: ReadonlyMap<string, string>, place: number): ChildProcess {
  const containerd = binaries.get('containerd') ?? '';
  writeFileSync(join(directory, 'config.toml'), config(directory, join(binaries.get('runc') ?? '', 'runc')));
  const log = openSync(join(directory, 'log'), 'a');
  const command = [join(containerd, 'containerd'), '--config', join(directory, 'config.toml')];
  const daemon = spawn('nsenter', [`--target=${place}`, '--mount', '--net', '--', ...command], {
    stdio: ['ignore', log, log],
    env: { PATH: `${containerd}:${systemPath()}` },
  });
  closeSync(log);
  return daemon;
}

async function stopDaemon(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const exited = new Promise((resolve) => daemon.once('exit', resolve));
  daemon.kill('SIGTERM');
  const insist = setTimeout(() => daemon.kill('SIGKILL'), 5_000);
  await exited;
  clearTimeout(insist);
}

interface Call {
  (name: string, request: object): Promise<Readonly<Record<string, string>>>;
  close(): void;
}

function connect(socket: string): Call {
  const client = new Client(`unix://${socket}`, credentials.createInsecure());
  const service = fromJSON(makingDescriptor)['runtime.v1.RuntimeService'] as ServiceDefinition;
  const call = (name: string, request: object): Promise<Readonly<Record<string, string>>> =>
    new Promise((resolve, reject) => {
      const method = service[name]!;
      const deadline = { deadline: Date.now() + 30_000 };
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        deadline,
        (error, response) => (error ? reject(error) : resolve(response as Readonly<Record<string, string>>)),
      );
    });
  return Object.assign(call, { close: () => client.close() });
}

interface Place {
  readonly cgroup: string;
  readonly directory: string;
  readonly pods: Set<string>;
}

async function runContainer(call: Call, options: PodOptions, place: Place): Promise<RunningContainer> {
  const { uid, image, command = [], readOnly = false } = options;
  const labels = { 'io.kubernetes.pod.uid': uid, 'io.kubernetes.pod.name': uid, 'io.kubernetes.pod.namespace': 'test' };
  const logDirectory = join(place.directory, 'logs', uid);
  mkdirSync(logDirectory, { recursive: true });
  // The node's network: no CNI plugin is needed then.
  const namespaceOptions = { network: node };
  const sandboxConfig = {
    metadata: { name: uid, uid, namespace: 'test', attempt: 0 },
    labels,
    logDirectory,
    linux: { cgroupParent: `/${place.cgroup}/kubepods/pod${uid}`, securityContext: { namespaceOptions } },
  };
  const { podSandboxId = '' } = await call('RunPodSandbox', { config: sandboxConfig });
  place.pods.add(podSandboxId);
  const config = {
    metadata: { name: 'main' },
    image: { image: testImages[image] },
    command,
    labels: { ...labels, 'io.kubernetes.container.name': 'main' },
    logPath: 'main.log',
    linux: { securityContext: { namespaceOptions, readonlyRootfs: readOnly, noNewPrivs: true } },
  };
  const { containerId = '' } = await call('CreateContainer', { podSandboxId, config, sandboxConfig });
  await call('StartContainer', { containerId });
  return {
    id: `containerd://${containerId}`,
    podSandboxId,
    stop: async () => void (await call('StopContainer', { containerId, timeout: 0 })),
    remove: async () => void (await call('RemoveContainer', { containerId })),
    removePod: async () => {
      await removePod(call, podSandboxId);
      place.pods.delete(podSandboxId);
    },
  };
}

async function removePod(call: Call, podSandboxId: string): Promise<void> {
  await call('StopPodSandbox', { podSandboxId });
  // It may not have noticed yet that a container has ended.
  await eventually(() => call('RemovePodSandbox', { podSandboxId }), 10_000);
}
