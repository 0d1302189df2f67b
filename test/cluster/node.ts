import { appendFileSync, chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createCgroup } from './cgroup.ts';
import { run, until } from './command.ts';
import { connectNode } from './network.ts';
import { childOf, identify, namespaceOf, type ProcessIdentity, startInCgroup } from './process.ts';
import type { Service } from './services.ts';

/** A node as it is started: what node.sh needs to know. */
export interface NodePlan {
  readonly name: string;
  readonly ip: string;
  readonly gateway: string;
  /** `subnet=address` of every other node's pods. */
  readonly routes: readonly string[];
  readonly cgroup: string;
  readonly port: string;
  /** The node's own directory below the cluster's. */
  readonly directory: string;
  /** Stands at the node's /var/log and outlives the cluster. */
  readonly log: string;
  /** Directories that the node must see wherever they are. */
  readonly keep: readonly string[];
}

export interface StartedNode {
  readonly init: ProcessIdentity;
  /** The `unshare` that waits for it on the host; with it the node dies. */
  readonly holder: ProcessIdentity;
}

const script = join(import.meta.dirname, 'node.sh');

/** Starts the node's namespaces and its pid 1, plugged into the switch. `started` hears of every process at once. */
export async function startNode(
  plan: NodePlan,
  switchPid: number,
  started: (holder: ProcessIdentity, init?: ProcessIdentity) => void,
): Promise<StartedNode> {
  for (const part of ['etc', 'lib', 'services']) mkdirSync(join(plan.directory, part), { recursive: true });
  mkdirSync(plan.log, { recursive: true });
  await run('mkfifo', [join(plan.directory, 'control')]);
  const unshare = ['unshare', '--mount', '--pid', '--net', '--uts', '--ipc', '--fork', '--kill-child', '--mount-proc'];
  const pid = startInCgroup(createCgroup(plan.cgroup), [...unshare, 'bash', script], {
    log: join(plan.log, 'node.log'),
    env: {
      NODE: plan.name,
      STATE: plan.directory,
      LOG: plan.log,
      IP: plan.ip,
      GATEWAY: plan.gateway,
      ROUTES: plan.routes.join(' '),
      KEEP: plan.keep.join(':'),
    },
  });
  const holder = identify(pid);
  started(holder);
  const own = namespaceOf('self', 'net');
  const child = await until(
    `The namespaces of ${plan.name} (see ${plan.log}/node.log)`,
    () => childInNamespace(pid, own),
    {
      timeout: 10_000,
      every: 5,
    },
  );
  const init = identify(child);
  started(holder, init);
  await connectNode(switchPid, plan.port, child);
  await until(
    `Node ${plan.name} (see ${plan.log}/node.log)`,
    () => existsSync(join(plan.directory, 'ready')) || undefined,
    {
      timeout: 10_000,
      every: 5,
    },
  );
  return { init, holder };
}

function childInNamespace(holder: number, own: string | undefined): number | undefined {
  const child = childOf(holder);
  if (child === undefined) return undefined;
  const namespace = namespaceOf(child, 'net');
  return namespace !== undefined && namespace !== own ? child : undefined;
}

const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Writes how a service is started, readable for a person, and has the node start it. */
export function startService(directory: string, name: string, argv: Service, path: string): void {
  const file = join(directory, 'services', name);
  const command = argv.map(quoted).join(' \\\n  ');
  writeFileSync(file, `#!/bin/sh\nPATH=${quoted(path)} exec ${command}\n`);
  chmodSync(file, 0o755);
  tell(directory, 'start', name);
}

/** Speaks to the node's pid 1. A line is shorter than PIPE_BUF, so lines of several writers do not mix. */
export function tell(directory: string, verb: 'start' | 'stop' | 'kill', service: string): void {
  appendFileSync(join(directory, 'control'), `${verb} ${service}\n`);
}

export function writeFiles(directory: string, files: Readonly<Record<string, string>>, mode = 0o644): void {
  for (const [name, content] of Object.entries(files)) {
    const file = join(directory, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content, { mode });
  }
}
