import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';
import { CrashcartError, reasons } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import type { Cluster, ExecProgram } from './kubeconfig-file.ts';

export interface ExecProof {
  readonly token?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Long enough for a person to log in with a browser. */
const timeoutMs = 300_000;
const outputBytes = 1024 * 1024;

/**
 * Runs a credential program (client.authentication.k8s.io) and takes the token or certificate that it prints. Its standard
 * error and input are ours, for the programs that ask a question.
 * @throws CrashcartError Unauthorized
 */
export async function execCredential(
  program: ExecProgram,
  cluster: Cluster,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ExecProof> {
  // What is piped to us is the command's: only a person at a terminal may be asked.
  const interactive = program.interactiveMode !== 'Never' && isatty(0);
  if (program.interactiveMode === 'Always' && !interactive)
    throw refuse('must ask a question, and standard input is not a terminal', program);
  const info = {
    apiVersion: program.apiVersion,
    kind: 'ExecCredential',
    spec: { interactive, ...(program.provideClusterInfo ? { cluster: clusterInfo(cluster) } : {}) },
  };
  const output = await run(
    program,
    { ...env, ...program.env, KUBERNETES_EXEC_INFO: JSON.stringify(info) },
    interactive,
  );
  const status = statusOf(output);
  const proof = {
    ...pick('token', status['token']),
    ...pick('cert', status['clientCertificateData']),
    ...pick('key', status['clientKeyData']),
  };
  if (proof.token || (proof.cert && proof.key)) return proof;
  throw refuse(`printed neither a token nor a certificate`, program);
}

const clusterInfo = (cluster: Cluster): object => ({
  server: cluster.server,
  'tls-server-name': cluster.tlsServerName,
  'insecure-skip-tls-verify': cluster.insecure,
  'certificate-authority-data': cluster.caData ?? (cluster.caFile ? readFileSync(cluster.caFile, 'base64') : undefined),
  'proxy-url': cluster.proxyUrl,
  config: cluster.execConfig,
});

/** Standard error is ours, and standard input too where the program may ask a question. */
function run(
  program: ExecProgram,
  env: Readonly<Record<string, string | undefined>>,
  interactive: boolean,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn(program.command, [...program.args], {
    env,
    timeout: timeoutMs,
    stdio: [interactive ? 'inherit' : 'ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    if (output.length > outputBytes) child.kill();
  });
  child.once('error', (error) => reject(refuse(`cannot be started: ${error.message}`, program, error)));
  child.once('close', (code, signal) => {
    if (code === 0) resolve(output);
    else reject(refuse(`ended with ${code === null ? signal : `exit code ${code}`}`, program));
  });
  return promise;
}

function statusOf(output: string): Readonly<Record<string, unknown>> {
  try {
    const { status } = JSON.parse(output) as { status?: unknown };
    return typeof status === 'object' && status !== null ? (status as Readonly<Record<string, unknown>>) : {};
  } catch {
    return {};
  }
}

const pick = <K extends string>(key: K, value: unknown): { [key in K]?: string } =>
  typeof value === 'string' && value !== '' ? ({ [key]: value } as { [key in K]?: string }) : {};

function refuse(what: string, program: ExecProgram, cause?: unknown): CrashcartError {
  const hint = program.installHint ? ` (${printable(program.installHint.trim())})` : '';
  return new CrashcartError(
    reasons.Unauthorized,
    `the kubeconfig's credential program "${program.command}" ${what}${hint}: check it with "kubectl get pods"`,
    { cause },
  );
}
