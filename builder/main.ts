import { env, exit, stderr } from 'node:process';
import { describe } from '../src/base/errors.ts';
import { hostArchitecture, readLock } from './debian/lock.ts';
import { checkHost } from './requirements.ts';
import { exitOnSignals } from './scratch.ts';
import { ensure, type Tell } from './step.ts';
import { type StepName, stepNames, stepsOf } from './steps.ts';

const verbs = {
  toolbox: ['toolbox'],
  bundles: ['bundles'],
  images: ['native', 'node', 'transport', 'toolbox-image', 'bundles', 'images'],
  plugin: ['node', 'bundles', 'plugin'],
  'node-cli': ['native', 'node', 'bundles', 'node-cli', 'npm'],
  all: stepNames,
} as const satisfies Record<string, readonly StepName[]>;

const usage = `usage: node builder/main.ts VERB

  all       everything below
  toolbox   build/toolbox/default.erofs
  bundles   build/bundles: one file per program
  images    build/images: what a cluster needs, as tars for ctr, docker or podman
  plugin    build/bin/kubectl-crashcart
  node-cli  build/bin/crashcart, and the same as an npm package: build/npm/crashcart.tgz

What has not changed is not built again. Packages come from DEBIAN_MIRROR, or from the mirror that apt uses, and stay in
CRASHCART_CACHE (~/.cache/crashcart). For toolboxes in other sizes and forms: builder/crashcart-build.
`;

const isBuildVerb = (verb: string): verb is keyof typeof verbs => Object.hasOwn(verbs, verb);

async function main(verb: string, tell: Tell): Promise<number> {
  if (!isBuildVerb(verb)) {
    stderr.write(usage);
    return 2;
  }
  checkHost(env['PATH'] ?? '');
  const steps = stepsOf(readLock(hostArchitecture()), env, tell);
  for (const name of verbs[verb]) await ensure(steps[name], tell);
  return 0;
}

exitOnSignals();
try {
  exit(await main(process.argv[2] ?? '', (line) => stderr.write(`${line}\n`)));
} catch (error) {
  stderr.write(`${describe(error)}\n`);
  exit(1);
}
