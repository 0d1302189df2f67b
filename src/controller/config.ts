import { Command, InvalidArgumentError, Option } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { defaultNamespace } from '../api/names.ts';
import { parseDuration } from '../base/duration.ts';
import { isLevel, type Level } from '../base/log.ts';
import { servingLifetimeMs } from './authority.ts';
import { agentLossMs } from './situation.ts';

export interface ControllerConfig {
  /** The aggregated API (TLS). */
  readonly port: number;
  /** Where the agents dial in (TLS). */
  readonly tunnelPort: number;
  /** Metrics and health (plain HTTP). */
  readonly metricsPort: number;
  readonly logLevel: Level;
  /** The namespace of the installation. */
  readonly namespace: string;
  /** Who we are in the election and in Events. */
  readonly podName: string;
  /** How often the rights of attached users are reviewed again. */
  readonly reviewEveryMs: number;
  /** How long a session that runs waits for an agent that is away. */
  readonly agentLossMs: number;
  /** How users come: by the aggregation layer, or by a ticket through the Service's proxy. */
  readonly attachMode: AttachWay;
  /** Of the serving certificate. */
  readonly certificateLifetimeMs: number;
  /** Whether another (cert-manager) makes the serving certificate and tells the API server whom to trust. */
  readonly foreignCertificates: boolean;
  /** JSON of the chart: the admission policies that must be in place, and the profiles to keep. */
  readonly policies: string;
  readonly profiles: string;
  /** Outside a cluster only. */
  readonly kubeconfig?: string;
  readonly version: string;
  /** Where finished recordings go. Neither: they stay on their nodes. */
  readonly recordingsDirectory?: string;
  readonly recordingsS3Endpoint?: string;
  readonly recordingsS3Bucket?: string;
  readonly recordingsS3Region: string;
  readonly recordingsS3Prefix: string;
  readonly recordingsS3Credentials: string;
  readonly recordingsS3Encryption: string;
}

export const attachWays = ['Aggregated', 'Ticket'] as const;
export type AttachWay = (typeof attachWays)[number];

/** From the command line, then from the environment. Prints and exits for --help, --version and for what is wrong. */
export function parseConfig(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): ControllerConfig {
  const command = new Command('crashcart-controller')
    .description('Reconciles DebugSessions and serves their attach API.')
    .version(packageJson.version)
    .option('--port <port>', 'aggregated API, TLS', port, 10250)
    .option('--tunnel-port <port>', 'tunnels of the agents, TLS', port, 10251)
    .option('--metrics-port <port>', '/metrics, /healthz and /readyz, plain HTTP', port, 9090)
    .addOption(new Option('--log-level <level>', 'debug, info, warn or error').default('info').argParser(level))
    .option('--namespace <name>', 'namespace of the installation', env['POD_NAMESPACE'] ?? defaultNamespace)
    .option(
      '--pod-name <name>',
      'name of this replica',
      env['POD_NAME'] ?? `${env['HOSTNAME'] ?? 'host'}-${process.pid}`,
    )
    .addOption(
      new Option('--review-every <duration>', 'how often the rights of attached users are reviewed again')
        .default(300_000, '5m')
        .argParser(duration),
    )
    .addOption(
      new Option('--agent-loss <duration>', 'how long a session that runs waits for an agent that is away')
        .default(agentLossMs, '5m')
        .argParser(duration),
    )
    .addOption(
      new Option('--attach-mode <mode>', 'how users reach the gateway').default('Aggregated').choices(attachWays),
    )
    .addOption(
      new Option('--certificate-lifetime <duration>', 'of the serving certificate, made by ourselves')
        .default(servingLifetimeMs, '720h')
        .argParser(duration),
    )
    .option('--foreign-certificates', 'another (cert-manager) makes the serving certificate', false)
    .requiredOption('--policies <file>', 'the admission policies without which nothing is started')
    .requiredOption('--profiles <file>', 'the profiles to keep in the cluster')
    .option('--recordings-directory <directory>', 'volume for finished recordings')
    .option('--recordings-s3-endpoint <url>', 'S3 service for finished recordings, without the bucket')
    .option('--recordings-s3-bucket <name>', 'bucket there')
    .option('--recordings-s3-region <name>', 'region of the bucket', 'us-east-1')
    .option('--recordings-s3-prefix <path>', 'in front of every key, with a slash at its end', '')
    .option(
      '--recordings-s3-credentials <directory>',
      'files accessKeyId, secretAccessKey, sessionToken',
      '/etc/crashcart-s3',
    )
    .option('--recordings-s3-encryption <name>', 'AES256 or aws:kms', '')
    .option('--kubeconfig <file>', 'outside a cluster: how to reach the API server')
    .parse([...argv], { from: 'user' });
  const { reviewEvery, agentLoss, certificateLifetime, ...options } = command.opts<
    Omit<ControllerConfig, 'version' | 'reviewEveryMs' | 'agentLossMs' | 'certificateLifetimeMs'> & {
      readonly reviewEvery: number;
      readonly agentLoss: number;
      readonly certificateLifetime: number;
    }
  >();
  return Object.freeze({
    ...options,
    reviewEveryMs: reviewEvery,
    agentLossMs: agentLoss,
    certificateLifetimeMs: certificateLifetime,
    version: packageJson.version,
  });
}

function duration(text: string): number {
  const value = parseDuration(text);
  if (value !== undefined && value >= 1_000) return value;
  throw new InvalidArgumentError('a duration of at least a second, such as 90s, 5m or 1h');
}

function port(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= 65_535) return value;
  throw new InvalidArgumentError('a port is a number from 0 to 65535');
}

function level(text: string): Level {
  if (isLevel(text)) return text;
  throw new InvalidArgumentError('a level is debug, info, warn or error');
}
