import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { tunnelService } from '../api/names.ts';
import { parseDuration } from '../base/duration.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import { isLevel, type Level } from '../base/log.ts';
import { limits } from '../wire/agent-protocol.ts';

export interface Config {
  readonly nodeName: string;
  readonly criSocket: string;
  readonly toolboxes: string;
  readonly cgroupRoot: string;
  readonly enter: string;
  readonly state: string;
  readonly gateway: string;
  readonly tunnelPort: number;
  readonly caFile: string;
  readonly tokenFile: string;
  readonly metricsPort: number;
  readonly maxSessions: number;
  /** Left out: this node records nothing. */
  readonly recordings?: string;
  readonly recordingBytes: number;
  readonly recordingsBytes: number;
  readonly recordingsKeep: number;
  readonly logLevel: Level;
}

export interface ConfigSource {
  /** Without the program's and the script's names. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
  /** For `--help` and `--version`. */
  readonly print: (text: string) => void;
}

/**
 * Undefined: `--help` or `--version` was asked for and has been printed.
 * @throws CrashcartError Invalid, with a sentence that names the flag or the variable
 */
export function parseConfig(source: ConfigSource): Config | undefined {
  const program = createProgram(source);
  try {
    program.parse([...source.args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    throw new CrashcartError(reasons.Invalid, `${error.message.replace(/^error: /, '')} (see --help)`, {
      cause: error,
    });
  }
  const options = program.opts<Omit<Config, 'nodeName'>>();
  const nodeName = source.env['NODE_NAME'];
  if (!nodeName) {
    throw new CrashcartError(reasons.Invalid, 'NODE_NAME is not set: the chart takes it from spec.nodeName of the pod');
  }
  return { ...options, nodeName };
}

function createProgram({ env, version, print }: ConfigSource): Command {
  const namespace = env['POD_NAMESPACE'] ?? 'crashcart-system';
  return (
    new Command('agent')
      .description('Runs debugging sessions in the containers of this node, as the gateways tell it.')
      .version(version)
      .exitOverride()
      .configureOutput({ writeOut: print, writeErr: () => {} })
      .option('--cri-socket <path>', 'socket of containerd or CRI-O', absolute, '/run/containerd/containerd.sock')
      .option('--toolboxes <directory>', 'holds NAME.erofs for every toolbox', absolute, '/toolboxes')
      .option('--cgroup-root <directory>', "the node's cgroup hierarchy", absolute, '/sys/fs/cgroup')
      .option('--enter <path>', 'the program that enters containers', absolute, '/usr/lib/crashcart/crashcart-enter')
      // Of the node, not of the pod: it outlives both. Of this boot only: so do sessions.
      .option('--state <directory>', 'what the next agent needs to find our sessions', absolute, '/run/crashcart')
      .option('--gateway <name>', 'headless Service of the gateways', `${tunnelService}.${namespace}.svc`)
      .option('--tunnel-port <port>', 'of the gateways', port, 10_251)
      .option(
        '--ca-file <path>',
        "certificate authority of the gateways' certificate",
        absolute,
        '/etc/crashcart/ca/ca.crt',
      )
      .option('--token-file <path>', 'projected token', absolute, '/var/run/secrets/crashcart.dev/token')
      .option('--metrics-port <port>', '/metrics, /healthz and /readyz', port, 9090)
      .option('--max-sessions <count>', 'that run at the same time', count, limits.sessionsPerAgent)
      .option(
        '--recordings <directory>',
        'for recordings of sessions; without it, sessions that must be recorded are refused',
        absolute,
      )
      .option('--recording-bytes <bytes>', 'longest recording of one session', bytes, 64 * 1024 ** 2)
      .option('--recordings-bytes <bytes>', 'all recordings on this node', bytes, 2 * 1024 ** 3)
      .option(
        '--recordings-keep <duration>',
        'how long a finished recording stays that nobody fetched',
        duration,
        7 * 24 * 3_600_000,
      )
      .addOption(new Option('--log-level <level>', 'debug, info, warn or error').default('info').argParser(level))
      .addHelpText('after', '\nNODE_NAME must be set. POD_NAMESPACE is a part of the default of --gateway.')
  );
}

function absolute(text: string): string {
  if (text.startsWith('/')) return text;
  throw new InvalidArgumentError('It must be an absolute path.');
}

function integer(text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
}

/** Less than a megabyte holds no session, more than a terabyte no node. */
const bytes = (text: string): number => integer(text, 1024 ** 2, 1024 ** 4);

/** Milliseconds. */
function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined && ms > 0) return ms;
  throw new InvalidArgumentError('It must be a time such as 168h.');
}

const port = (text: string): number => integer(text, 1, 65_535);
const count = (text: string): number => integer(text, 1, limits.sessionsPerAgent);

function level(text: string): Level {
  if (isLevel(text)) return text;
  throw new InvalidArgumentError('It must be debug, info, warn or error.');
}
