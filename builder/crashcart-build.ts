import { env, exit, stderr, stdout } from 'node:process';
import { Command, CommanderError, Option } from 'commander';
import { describe } from '../src/base/errors.ts';
import { type Architecture, architectures, hostArchitecture, readLock } from './debian/lock.ts';
import { formatNames } from './formats/formats.ts';
import { versionOf } from './paths.ts';
import { progress } from './progress.ts';
import { checkHost } from './requirements.ts';
import { billOfMaterials } from './sbom/cyclonedx.ts';
import { exitOnSignals } from './scratch.ts';
import { addPackage } from './verbs/add.ts';
import { type BuildOptions, buildVerb } from './verbs/build.ts';
import { diff } from './verbs/diff.ts';
import { list } from './verbs/list.ts';
import { makeLocks } from './verbs/lock.ts';
import { proveVerb } from './verbs/prove.ts';
import { why } from './verbs/why.ts';

/** Which toolbox, and for which machines: what most verbs ask for. */
const toolbox = () => new Option('-t, --toolbox <name>', 'a section of builder/packages').default('default');
const architecture = () =>
  new Option('-a, --arch <name>', 'architecture').choices(architectures).default(hostArchitecture());

// Who reads no more (`| head`) has had enough.
stdout.on('error', () => exit(0));
exitOnSignals();

const tell = progress(stderr);
const print = (text: string): void => void stdout.write(text);

const program = new Command('crashcart-build')
  .description('Builds toolboxes from Debian packages: no root, no container, the same bytes everywhere.')
  .version(versionOf())
  .showHelpAfterError('(--help says what there is)')
  .exitOverride();

program
  .command('lock')
  .description('resolve builder/packages over the mirrors’ current indexes into builder/lock.*.json')
  .action(() => makeLocks(env, tell.line));
program
  .command('build')
  .description('build a toolbox as one file')
  .addOption(toolbox())
  .addOption(architecture())
  .addOption(
    new Option('-f, --format <name>', 'file system, or the image that carries one to nodes')
      .choices([...formatNames, 'oci'])
      .default('erofs'),
  )
  .option('-o, --output <path>', 'file to write (default: build/toolbox/NAME[-ARCH].FORMAT)')
  .option('--record', 'write its digest into builder/digests.json, which later builds are compared with')
  .action((options: BuildOptions) => buildVerb(options, env, tell.line, print));
program
  .command('add')
  .argument('<package>', 'name of a Debian package')
  .description('add a package to builder/packages and to the locks, at the versions that they have')
  .addOption(new Option('-t, --toolbox <name>', 'section to add it to').default('default'))
  .option('--task <name>', 'heading of the `tools` command that it belongs under', 'more')
  .action((name: string, options: { toolbox: string; task: string }) => addPackage(name, options, env, tell.line));
program
  .command('why')
  .argument('<what>', 'a package, a command, or a path in the toolbox')
  .description('say which package a file comes from, and what wants that package')
  .addOption(toolbox())
  .addOption(architecture())
  .action(async (what: string, options) => print(await why(what, options, env, tell.line)));
program
  .command('list')
  .description('list toolboxes, or what one has')
  .addOption(new Option('-t, --toolbox <name>', 'a section of builder/packages'))
  .addOption(architecture())
  .option('--packages', 'its packages with versions, not its commands')
  .action(async (options) => print(await list(options, env, tell.line)));
program
  .command('diff')
  .argument('<old>', 'a lock or SBOM file, or a git revision of the lock')
  .argument('[new]', 'the same (default: the lock of this checkout)')
  .description('say which packages were added, removed or changed version')
  .addOption(architecture())
  .action(async (old: string, current: string | undefined, options) => print(await diff(old, current, options)));
program
  .command('prove')
  .argument('[image]', 'an image file (default: the toolbox as it was built)')
  .description(
    'start every command in four environments and do real work with them (root); another architecture under qemu',
  )
  .addOption(toolbox())
  .addOption(architecture())
  .action((image: string | undefined, options) => proveVerb(image, options, env, tell.line));
program
  .command('sbom')
  .description('print the bill of materials (CycloneDX 1.6)')
  .addOption(toolbox())
  .addOption(architecture())
  .action(({ toolbox: name, arch }: { toolbox: string; arch: Architecture }) =>
    print(billOfMaterials(readLock(arch), name)),
  );

try {
  checkHost(env['PATH'] ?? '');
  await program.parseAsync();
  tell.end();
} catch (error) {
  tell.end();
  if (error instanceof CommanderError) exit(error.exitCode === 0 ? 0 : 2);
  stderr.write(`crashcart-build: ${describe(error)}\n`);
  exit(1);
}
