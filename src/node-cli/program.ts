import manifest from '../../package.json' with { type: 'json' };
import { type ProfileName, profiles } from '../api/debug-session.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import { type CommandLine, parseCommandLine, usage } from './command-line.ts';
import { completionScript } from './completion.ts';
import { helpText } from './help.ts';
import { complain, type Host, loggerOf } from './host.ts';
import type { Invocation } from './invocation.ts';
import { parseRuntimeChoice } from './runtimes/choice.ts';
import { parseCapability, parseUser } from './session/request.ts';

/** Crashcart's own failure, as docker, podman and env have it; a command may end with any other. */
const failed = 125;
const misused = 2;

/** Runs one command line; resolves with the exit code, after one sentence on standard error when it is not the command's own. */
export async function main(args: readonly string[], host: Host): Promise<number> {
  for (const stream of [host.stdout, host.stderr]) stream.on('error', ignoreBrokenPipe);
  try {
    return await dispatch(parseCommandLine(args), host);
  } catch (caught) {
    complain(host, caught);
    return CrashcartError.from(caught).reason === reasons.Invalid ? misused : failed;
  }
}

/** A reader that went away (`| head`) is no failure of ours. */
function ignoreBrokenPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
}

async function dispatch(line: CommandLine, host: Host): Promise<number> {
  const { options, verb, id, rest } = line;
  if (options['version']) return print(host, `crashcart ${manifest.version}\n`);
  if (options['help'] || (verb === undefined && id === undefined && options['unmount'] === undefined)) {
    return options['help'] ? print(host, helpText()) : Promise.reject(usage('name a container: crashcart ID'));
  }
  if (verb === 'completion') return print(host, completionScript(rest));
  checkTogether(line);
  const invocation = invocationOf(line, host);
  if (verb !== 'doctor') requireRoot();
  switch (verb) {
    case 'ps':
      return (await import('./verbs/ps.ts')).ps(invocation);
    case 'run':
      return (await import('./verbs/run.ts')).run(invocation);
    case 'doctor':
      return (await import('./verbs/doctor.ts')).doctor(invocation);
    default:
      return enter(invocation, options);
  }
}

async function enter(invocation: Invocation, options: CommandLine['options']): Promise<number> {
  if (options['mount']) return (await import('./verbs/mount.ts')).mount(invocation);
  if (options['unmount']) return (await import('./verbs/unmount.ts')).unmount(invocation);
  return (await import('./verbs/open.ts')).open(invocation, Boolean(options['exec']));
}

function print(host: Host, text: string): number {
  host.stdout.write(text);
  return 0;
}

const texts = (value: CommandLine['options'][string]): readonly string[] =>
  Array.isArray(value) ? value.map(String) : [];

function invocationOf({ options, id, rest }: CommandLine, host: Host): Invocation {
  const text = (name: string): string | undefined => (options[name] === undefined ? undefined : String(options[name]));
  const user = text('user');
  return {
    host,
    log: loggerOf(host, texts(options['verbose']).length),
    id: id ?? '',
    command: rest,
    image: text('image') ?? 'default',
    imageGiven: options['image'] !== undefined,
    profile: profiles.find((name): name is ProfileName => name === text('profile')) ?? 'general',
    capabilities: texts(options['cap']).map(parseCapability),
    private: options['private'] === true,
    print: options['print'] === true,
    json: options['json'] === true,
    runtimes: texts(options['runtime']).map(parseRuntimeChoice),
    ...(user === undefined ? {} : { user: parseUser(user), userText: user }),
  };
}

/** Options that say two things at once are not guessed about. */
function checkTogether({ options, verb, id, rest }: CommandLine): void {
  const given = (name: string): boolean => options[name] !== undefined && options[name] !== false;
  const [one, other] = (['exec', 'mount', 'unmount'] as const).filter(given);
  if (one && other) throw usage(`--${one} and --${other} exclude each other`);
  if (one && verb !== undefined) throw usage(`--${one} takes an ID: a container called "${verb}" is named behind "--"`);
  if (one && one !== 'exec' && rest.length > 0) throw usage(`--${one} runs no command`);
  if (given('private') && one)
    throw usage(`--private shows the toolbox to a session only, and --${one} to the container`);
  if (one === 'exec' && (given('profile') || given('cap')))
    throw usage('what runs through the runtime has the rights that the runtime gives: leave --profile and --cap out');
  if (one === 'mount' && id === undefined) throw usage('name a container: crashcart -m ID');
  if (verb !== 'run' && given('print')) throw usage('--print goes with run');
  if (verb !== undefined && verb !== 'run' && rest.length > 0) throw usage(`"${verb}" takes no arguments`);
}

function requireRoot(): void {
  if (process.geteuid?.() === 0) return;
  throw new CrashcartError(reasons.Forbidden, 'Entering containers takes root: run it with sudo.');
}
