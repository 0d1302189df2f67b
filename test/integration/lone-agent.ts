/** An agent of its own process, for tests that kill it: starts one session, says its pid and lives until it is killed. Argument: LoneAgent as JSON. */

import type { Pid } from '../../src/linux/kernel.ts';
import { openPidfd } from '../../src/linux/pidfd.ts';
import type { ProcessTarget } from '../../src/node-agent/session/request.ts';
import { openDeps, type Request, start } from './session.ts';

export interface LoneAgent {
  readonly stateDirectory: string;
  readonly enterFile: string;
  readonly target: Omit<ProcessTarget, 'pidfd'>;
  readonly request: Request;
}

const { stateDirectory, enterFile, target, request }: LoneAgent = JSON.parse(process.argv[2] ?? '');
const deps = openDeps(stateDirectory, enterFile);
const { kernel } = deps;
const pidfd = openPidfd(kernel, target.pid as Pid);
const session = await start({ kernel, deps, stateDirectory }, { target: { ...target, pidfd } }, request);
process.stdout.write(`${session.pid}\n`);
setInterval(() => {}, 60_000);
