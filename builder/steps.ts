import { buildBundles, licencesFile, programs } from './bundle/bundles.ts';
import { buildExecutable } from './bundle/executable.ts';
import { stripNode, strippedNode } from './bundle/node.ts';
import { hostTools } from './debian/host-tools.ts';
import { layoutOf } from './debian/layout.ts';
import type { Lock } from './debian/lock.ts';
import { transportFile } from './images/crashcart-tree.ts';
import { buildCrashcartImage, buildToolboxImage, imagesFile, imageTars, toolboxImageFile } from './images/images.ts';
import { buildNpmPackage, npmPackage } from './npm/package.ts';
import { inProject, nodePackage, versionOf } from './paths.ts';
import { run } from './process.ts';
import type { Step, Tell } from './step.ts';
import { buildToolbox, toolboxFile } from './toolbox/build.ts';

export const stepNames = [
  'native',
  'node',
  'toolbox',
  'transport',
  'toolbox-image',
  'bundles',
  'images',
  'plugin',
  'node-cli',
  'npm',
] as const;
export type StepName = (typeof stepNames)[number];

const nativePrograms = ['build/native/crashcart-enter', 'build/native/crashcart-install'];
/** What the node's executable has inside, under the names that src/node-cli asks for. */
const carriedFiles = {
  'koffi.node': `node_modules/@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`,
  'crashcart-enter': 'build/native/crashcart-enter',
};
const bundleFiles = [...Object.values(programs).map(({ out }) => out), licencesFile];
/** What decides about the bytes of a toolbox. */
const toolboxSources = ['packages', 'debian', 'elf', 'formats', 'oci', 'relocate', 'sbom', 'toolbox'].map(
  (part) => `builder/${part}`,
);

/** Everything that is built, and from what; a step comes after those whose results it takes. */
export function stepsOf(lock: Lock, environment: NodeJS.ProcessEnv, tell?: Tell): Record<StepName, Step> {
  const lockFile = `builder/lock.${lock.architecture}.json`;
  const node = `${nodePackage()}@${versionOf(nodePackage())}`;
  return {
    native: {
      name: 'native',
      from: ['native'],
      also: [environment['CC'] ?? ''],
      to: nativePrograms,
      make: async () => {
        await run('make', ['-C', inProject('native'), `OUT=${inProject('build/native')}`]);
      },
    },
    node: {
      name: 'node',
      from: [lockFile, 'builder/bundle/node.ts', 'builder/debian'],
      also: [node],
      to: [strippedNode],
      make: async () => stripNode(await hostTools(lock, environment), layoutOf(lock.architecture)),
    },
    toolbox: {
      name: 'toolbox',
      from: [lockFile, ...toolboxSources],
      to: [toolboxFile('default', 'erofs')],
      make: () => buildToolbox({ lock, toolbox: 'default', format: 'erofs', environment, tell }),
    },
    transport: {
      name: 'transport',
      from: [lockFile, ...toolboxSources],
      to: [transportFile],
      make: () =>
        buildToolbox({ lock, toolbox: 'default', format: 'plain', out: inProject(transportFile), environment, tell }),
    },
    bundles: {
      name: 'bundles',
      from: ['src', 'builder/bundle', 'package.json', 'package-lock.json', 'tsconfig.json'],
      to: bundleFiles,
      make: buildBundles,
    },
    'toolbox-image': {
      name: 'toolbox-image',
      from: [lockFile, 'builder/oci', 'builder/images', 'build/native/crashcart-install', transportFile],
      also: [versionOf()],
      to: [imageTars.toolbox, toolboxImageFile],
      make: () => buildToolboxImage(lock, environment),
    },
    images: {
      name: 'images',
      from: [
        lockFile,
        'builder/debian',
        'builder/oci',
        'builder/images',
        'LICENSE',
        ...nativePrograms,
        ...bundleFiles,
        toolboxImageFile,
      ],
      also: [node, versionOf()],
      to: [imageTars.crashcart, imagesFile],
      make: () => buildCrashcartImage(lock, environment),
    },
    plugin: {
      name: 'plugin',
      from: ['builder/bundle', programs.plugin.out],
      also: [node],
      to: ['build/bin/kubectl-crashcart'],
      make: () => buildExecutable(programs.plugin.out, 'build/bin/kubectl-crashcart'),
    },
    'node-cli': {
      name: 'node-cli',
      from: ['builder/bundle', programs.nodeCli.out, ...nativePrograms],
      also: [node, versionOf('koffi')],
      to: ['build/bin/crashcart'],
      make: () => buildExecutable(programs.nodeCli.out, 'build/bin/crashcart', carriedFiles),
    },
    npm: {
      name: 'npm',
      from: [
        ...['builder/npm', 'builder/oci', 'builder/images/koffi.ts', 'docs/crashcart.md', 'docs/man', 'LICENSE'],
        ...[programs.nodeCliPackage.out, licencesFile, ...nativePrograms],
      ],
      also: [versionOf('koffi'), versionOf(), `${lock.epoch}`],
      to: [npmPackage],
      make: () => buildNpmPackage(lock.epoch),
    },
  };
}
