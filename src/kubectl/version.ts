import { arch, platform } from 'node:process';
import manifest from '../../package.json' with { type: 'json' };
import { apiVersion, subresourceApiVersion } from '../api/names.ts';
import type { ApiClient } from './api-client.ts';
import { installHint, isCode } from './api-refusal.ts';
import { apiOf, type Invocation } from './invocation.ts';
import { printObject } from './output.ts';

interface Server {
  readonly kubernetes: string;
  readonly api: string | undefined;
  readonly attach: string | undefined;
}

export async function version(invocation: Invocation): Promise<number> {
  const { line, host } = invocation;
  const client = { version: manifest.version, platform: `${platform}/${arch}`, node: process.versions.node };
  const server = line.switch('client') ? undefined : await serverOf(invocation);
  const format = line.text('output');
  if (format) await printObject(host, format, { client, server });
  else
    host.stdout.write(
      [`Client: ${client.version} (${client.platform}, Node ${client.node})`, ...lines(server), ''].join('\n'),
    );
  return server && (server.api === undefined || server.attach === undefined) ? 1 : 0;
}

function lines(server: Server | undefined): readonly string[] {
  if (!server) return [];
  return [
    `Kubernetes: ${server.kubernetes}`,
    server.api ? `Crashcart: ${server.api}` : installHint,
    ...(server.api && !server.attach
      ? ['attach: not available, see "kubectl get apiservice v1alpha1.subresources.crashcart.dev"']
      : []),
  ];
}

async function serverOf(invocation: Invocation): Promise<Server> {
  const api = apiOf(invocation);
  try {
    const [kubernetes, sessions, attach] = await Promise.all([
      api.send({ path: '/version' }) as Promise<{ gitVersion?: string }>,
      served(api, apiVersion),
      served(api, subresourceApiVersion),
    ]);
    return {
      kubernetes: kubernetes.gitVersion ?? 'unknown',
      api: sessions ? apiVersion : undefined,
      attach: attach ? subresourceApiVersion : undefined,
    };
  } finally {
    await api.close();
  }
}

/** Whether discovery has this group and version and it answers. */
async function served(api: ApiClient, groupVersion: string): Promise<boolean> {
  try {
    await api.send({ path: `/apis/${groupVersion}` });
    return true;
  } catch (caught) {
    if (isCode(caught, 404) || isCode(caught, 503)) return false;
    throw caught;
  }
}
