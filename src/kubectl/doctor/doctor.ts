import { arch, platform } from 'node:process';
import manifest from '../../../package.json' with { type: 'json' };
import { CrashcartError } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import type { ApiClient } from '../api-client.ts';
import type { Host } from '../host.ts';
import { apiOf, type Invocation } from '../invocation.ts';
import { printObject } from '../output.ts';
import { gather } from './facts.ts';
import type { Finding, State } from './finding.ts';
import { findingsOf } from './findings.ts';

/** `kubectl crashcart doctor`: each line green, or with the next step. The exit code is 1 when there is a fault. */
export async function doctor(invocation: Invocation): Promise<number> {
  const { line, host } = invocation;
  const findings = [client(), ...(await clusterFindings(invocation))];
  const format = line.text('output');
  if (format) await printObject(host, format, { kind: 'Doctor', findings });
  else for (const finding of findings) host.stdout.write(lineOf(finding, host));
  return findings.some(({ state }) => state === 'fault') ? 1 : 0;
}

const client = (): Finding => ({
  check: 'client',
  state: 'ok',
  says: `kubectl-crashcart ${manifest.version} (${platform}/${arch}, Node ${process.versions.node})`,
});

async function clusterFindings(invocation: Invocation): Promise<readonly Finding[]> {
  const check = 'cluster';
  let api: ApiClient;
  try {
    api = apiOf(invocation);
  } catch (caught) {
    return [{ check: 'kubeconfig', state: 'fault', ...twoParts(caught) }];
  }
  try {
    const { gitVersion = 'unknown' } = (await api.send({ path: '/version' })) as { gitVersion?: string };
    const { server, context, namespace } = api.connection;
    const says = `Kubernetes ${gitVersion} at ${server.origin}, context "${context}", namespace ${namespace}`;
    return [{ check, state: 'ok', says }, ...findingsOf(await gather(api), Date.now())];
  } catch (caught) {
    return [{ check, state: 'fault', ...twoParts(caught) }];
  } finally {
    await api.close();
  }
}

/** Our own sentences are "cause: next step". */
function twoParts(caught: unknown): { readonly says: string; readonly next?: string } {
  const { message } = CrashcartError.from(caught);
  const at = message.lastIndexOf('): ');
  return at < 0 ? { says: message } : { says: message.slice(0, at + 1), next: message.slice(at + 3) };
}

const marks: Readonly<Record<State, { readonly word: string; readonly colour: number }>> = {
  ok: { word: 'ok', colour: 32 },
  warning: { word: 'warning', colour: 33 },
  unknown: { word: 'unknown', colour: 2 },
  fault: { word: 'FAULT', colour: 31 },
};
const widest = Math.max(...Object.values(marks).map(({ word }) => word.length));

function lineOf({ check, state, says, next }: Finding, { stdout, env }: Host): string {
  const { word, colour } = marks[state];
  const padded = word.padEnd(widest);
  const plain = !stdout.isTTY || env['NO_COLOR'] || env['TERM'] === 'dumb';
  const mark = plain ? padded : `\x1b[${colour}m${padded}\x1b[0m`;
  const text = (part: string): string => printable(part).replace(/[\t\n]/g, ' ');
  const step = next ? `${' '.repeat(widest + 2)}→ ${text(next)}\n` : '';
  return `${mark}  ${text(check)}: ${text(says)}\n${step}`;
}
