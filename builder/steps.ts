import { buildBundles, licencesFile, programs } from './bundle/bundles.ts';
import { buildExecutable } from './bundle/executable.ts';
import { stripNode, strippedNode } from './bundle/node.ts';
import { hostTools } from './debian/host-tools.ts';
import { layoutOf } from './debian/layout.ts';
import type { Lock } from './debian/lock.ts';
import { buildImages, imagesFile, imageTars } from './images/images.ts';
import { inProject, nodePackage, versionOf } from './paths.ts';
import { run } from './process.ts';
import type { Step } from './step.ts';
import { writeErofs } from './toolbox/erofs.ts';
import { toolboxTree } from './toolbox/tree.ts';

export const stepNames = ['native', 'node', 'toolbox', 'bundles', 'images', 'plugin', 'node-cli'] as const;
export type StepName = (typeof stepNames)[number];

const nativePrograms = ['build/native/crashcart-enter', 'build/native/crashcart-install'];
/** What the node's executable has inside, under the names that src/node-cli asks for. */
const carriedFiles = {
  'koffi.node': `node_modules/@koromix/koffi-linux-${process.arch}/linux_${process.arch}/koffi.node`,
  'crashcart-enter': 'build/native/crashcart-enter',
};
const bundleFiles = [...Object.values(programs).map(({ out }) => out), licencesFile];
const toolboxImage = 'build/toolbox/default.erofs';

/** Everything that is built, and from what; a step comes after those whose results it takes. */
export function stepsOf(lock: Lock, environment: NodeJS.ProcessEnv): Record<StepName, Step> {
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
      from: [lockFile, 'builder/debian', 'builder/oci', 'builder/toolbox'],
      to: [toolboxImage],
      make: async () => {
        const tree = await toolboxTree(lock, environment);
        await writeErofs(tree, inProject(toolboxImage), lock.epoch, await hostTools(lock, environment));
      },
    },
    bundles: {
      name: 'bundles',
      from: ['src', 'builder/bundle', 'package.json', 'package-lock.json', 'tsconfig.json'],
      to: bundleFiles,
      make: buildBundles,
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
        toolboxImage,
      ],
      also: [node, versionOf()],
      to: [...Object.values(imageTars), imagesFile],
      make: () => buildImages(lock, environment),
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
  };
}
