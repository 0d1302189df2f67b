import { parseCommandLine, usage } from './command-line.ts';
import { allFlags, commonFlags, connectionFlags, type VerbName, verbOf, verbs } from './command-table.ts';
import { complain, guarded, type Host } from './host.ts';
import type { Invocation, Run } from './invocation.ts';

/** A verb is loaded when it is asked for: what `ls` needs does not delay a shell. */
const runs: Readonly<Record<VerbName, () => Promise<Run>>> = {
  open: async () => (await import('./open.ts')).open,
  attach: async () => (await import('./attach.ts')).attach,
  logs: async () => (await import('./logs.ts')).logs,
  ls: async () => (await import('./ls.ts')).ls,
  extend: async () => (await import('./extend.ts')).extend,
  rm: async () => (await import('./rm.ts')).rm,
  replay: async () => (await import('./replay/replay.ts')).replay,
  doctor: async () => (await import('./doctor/doctor.ts')).doctor,
  version: async () => (await import('./version.ts')).version,
  completion: async () => (await import('./completion.ts')).completion,
  help: async () => printHelp,
};

/** Runs one command line; resolves with the exit code, after one sentence on standard error when it is not the command's own. */
export async function main(argv: readonly string[], host: Host): Promise<number> {
  try {
    if (argv[0] === '__complete') return await (await import('./complete.ts')).complete(argv.slice(1), host);
    return await dispatch(argv, host);
  } catch (caught) {
    complain(host, caught);
    return 1;
  }
}

async function dispatch(argv: readonly string[], host: Host): Promise<number> {
  const line = parseCommandLine(argv, allFlags());
  const name = verbOf(line.positionals[0]);
  const asked = name === 'open' ? line : line.shift();
  if (line.switch('help') || (argv.length === 0 && name === 'open')) return showHelp(name, host);
  check(name, asked);
  // A session listens to its output itself, and makes the streams when it has them to write to.
  if (name !== 'open' && name !== 'logs') guarded(host.stdout);
  const run = await runs[name]();
  return run({ line: asked, host });
}

function check(name: VerbName, line: Invocation['line']): void {
  const verb = verbs[name];
  const taken = [...verb.flags, ...commonFlags, ...connectionFlags].map((flag) => flag.name);
  const stray = line.given.find((flag) => !taken.includes(flag));
  const called = `kubectl crashcart${verb.name === '' ? '' : ` ${verb.name}`}`;
  if (stray) throw usage(`--${stray} is not a flag of "${called}": see "${called} --help"`);
  if (line.positionals.length > verb.most) {
    const extra = line.positionals[verb.most] ?? '';
    throw usage(`"${extra}" is one word too many: a command goes behind "--", see "${called} --help"`);
  }
  if (name === 'open' && line.positionals.length === 0)
    throw usage('name a pod: kubectl crashcart pod/NAME, or see --help');
  if (name !== 'open' && line.command) throw usage(`"${called}" takes no command behind "--"`);
}

const printHelp: Run = async ({ line, host }) => showHelp(verbOf(line.positionals[0]), host);

async function showHelp(name: VerbName, host: Host): Promise<number> {
  const { helpOf } = await import('./help.ts');
  guarded(host.stdout).write(helpOf(verbs[name]));
  return 0;
}
