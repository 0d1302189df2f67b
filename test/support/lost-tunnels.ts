import { readlinkSync } from 'node:fs';
import type { Node } from './node-leftovers.ts';
import { pidsOf } from './processes.ts';
import { run } from './run.ts';

const port = 10251;
const table = 'inet crashcart_lost_tunnels';

/**
 * From now on the packets of the tunnels that the agent of a node has open are lost, in both directions, as behind a firewall that has forgotten them:
 * nothing tells either end, and none of them closes. New ones are as good as ever.
 */
export async function loseTunnels(node: Node): Promise<AsyncDisposable> {
  const agent = agentOf(node);
  const inside = async (program: string[], input = ''): Promise<string> => {
    const { code, stdout, stderr } = await run('nsenter', [`--target=${agent}`, '--net', '--', ...program], { input });
    if (code !== 0) throw new Error(`${program.join(' ')} in the network of the agent: ${stderr}`);
    return stdout;
  };
  const connections = await inside([
    'ss',
    '--no-header',
    '--numeric',
    '--tcp',
    'state',
    'established',
    `dport = :${port}`,
  ]);
  const ports = [...connections.matchAll(new RegExp(`:(\\d+)\\s+\\S+:${port}\\b`, 'g'))].map(([, local]) => local);
  if (ports.length === 0) throw new Error(`the agent of ${node.name} has no tunnel: ${connections}`);
  const those = `{ ${ports.join(', ')} }`;
  const rules = `table ${table} {
    chain out { type filter hook output priority 0; tcp dport ${port} tcp sport ${those} drop; }
    chain in { type filter hook input priority 0; tcp sport ${port} tcp dport ${those} drop; }
  }`;
  await inside(['nft', '-f', '-'], rules);
  return { [Symbol.asyncDispose]: async () => void (await inside(['nft', 'delete', 'table', ...table.split(' ')])) };
}

/** It sees the processes of its node and is numbered among them; here, by the number that the host gives it. */
function agentOf({ name, pid }: Node): number {
  const numbers = (of: number): string => readlinkSync(`/proc/${of}/ns/pid`);
  const agent = pidsOf(/^\/usr\/bin\/node \/app\/agent\.cjs/).find((each) => numbers(each) === numbers(pid));
  if (agent === undefined) throw new Error(`no agent runs on ${name}`);
  return agent;
}
