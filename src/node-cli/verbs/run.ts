import { toolboxMount } from '../../api/names.ts';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { usage } from '../command-line.ts';
import { findImage, imageDirectories } from '../image/find-image.ts';
import type { Invocation } from '../invocation.ts';
import { openNode } from '../node.ts';
import { isOnPath } from '../runtimes/programs.ts';
import { runHere } from '../session/through-runtime.ts';

const programs = { docker: 'docker', podman: 'podman', containerd: 'nerdctl' } as const;

/**
 * A new container with the toolbox in it. The image stays mounted on the node, because the runtime looks for it again when it restarts the
 * container; `crashcart -u --image NAME` without an ID gives it back.
 */
export async function run(invocation: Invocation): Promise<number> {
  const { host, log, command, print } = invocation;
  if (command.length === 0) throw usage('say what to run: crashcart run [docker run options] IMAGE [COMMAND]');
  const program = programFor(invocation);
  const image = findImage(invocation.image, imageDirectories());
  const directory = await keep(image, log);
  const line = [program, 'run', '--volume', `${directory}:${toolboxMount}:ro`, ...command];
  if (print) {
    host.stdout.write(`${line.map(quoted).join(' ')}\n`);
    return 0;
  }
  log.info(`running ${line.join(' ')}`);
  return runHere(program, line.slice(1), host);
}

async function keep(image: ReturnType<typeof findImage>, log: Invocation['log']): Promise<string> {
  using node = openNode(log);
  const { state } = node;
  return await state.change(async () => {
    const directory = state.images.attach(image);
    const { name, key, file } = image;
    state.keptImages.write(key, { image: { name, key }, file, since: new Date().toISOString() });
    return directory;
  });
}

function programFor({ runtimes }: Invocation): string {
  const [chosen] = runtimes;
  if (chosen !== undefined) {
    if (chosen.name in programs) return programs[chosen.name as keyof typeof programs];
    throw usage(`run starts containers with docker, podman or containerd (nerdctl), not with "${chosen.name}"`);
  }
  const found = Object.values(programs).find(isOnPath);
  if (found) return found;
  throw new CrashcartError(
    reasons.CommandNotFound,
    'There is no docker, podman or nerdctl on the PATH to start a container with.',
  );
}

/** As a shell would have to be told. */
const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replace(/'/g, "'\\''")}'`);
