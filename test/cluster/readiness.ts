import type { ApiServer } from './api-server.ts';
import { until } from './command.ts';
import type { Cluster } from './handle.ts';

/** True once the path is answered with 200. */
export async function answers(api: ApiServer, path: string): Promise<true | undefined> {
  return (await api.get(path))?.status === 200 || undefined;
}

/** Until every node is Ready, pods can be made and cluster DNS answers. */
export async function untilUsable(api: ApiServer, cluster: Cluster, signal: AbortSignal | undefined): Promise<void> {
  const options = { timeout: 60_000, every: 50, signal };
  const logs = `see ${cluster.directory}/log`;
  for (const node of cluster.nodes)
    await until(`Node ${node.name} is Ready (${logs})`, () => isReady(api, node.name), options);
  // Pods are refused in a namespace that has no default service account yet.
  await until(
    `The default service account (${logs})`,
    () => answers(api, '/api/v1/namespaces/default/serviceaccounts/default'),
    options,
  );
  const [first] = cluster.nodes;
  if (!first) return;
  const dns = [
    'bash',
    '-c',
    `exec 3<>/dev/tcp/${first.ip}/8181; printf 'GET /ready HTTP/1.0\\r\\n\\r\\n' >&3; grep -q 200 <&3`,
  ];
  await until(
    `Cluster DNS (${logs})`,
    () =>
      cluster.on(first.name, dns).then(
        () => true,
        () => undefined,
      ),
    options,
  );
}

async function isReady(api: ApiServer, node: string): Promise<true | undefined> {
  const answer = await api.get(`/api/v1/nodes/${node}`);
  if (answer?.status !== 200) return undefined;
  const { status } = JSON.parse(answer.body) as { status: { conditions?: { type: string; status: string }[] } };
  return status.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') || undefined;
}
