import { run } from './command.ts';
import type { Naming, Subnets } from './naming.ts';

/** `nsenter` that keeps the host's everything but the network. */
const inNetworkOf = (pid: number): string[] => [`--target=${pid}`, '--net', '--', 'ip'];

/** Addresses and route targets of the host, which a new cluster's subnet must not meet. */
export async function usedAddresses(): Promise<string[]> {
  const [addresses, routes] = await Promise.all([
    run('ip', ['-json', 'address']).then((text) => JSON.parse(text) as { addr_info: { local: string }[] }[]),
    run('ip', ['-json', 'route']).then((text) => JSON.parse(text) as { dst: string }[]),
  ]);
  return [
    ...addresses.flatMap((link) => link.addr_info.map((info) => info.local)),
    ...routes.map((route) => route.dst),
  ];
}

export async function hostLinks(): Promise<string[]> {
  const links = JSON.parse(await run('ip', ['-json', 'link'])) as { ifname: string }[];
  return links.map((link) => link.ifname);
}

/**
 * The switch is a bridge in a network namespace of its own, and the host has one cable to it. On the host itself the
 * bridge would be at the mercy of its firewall: Docker, for one, drops what is forwarded between ports of a bridge.
 */
export async function connectHost(naming: Naming, subnets: Subnets, switchPid: number): Promise<void> {
  const link = naming.prefix;
  await run('ip', ['link', 'add', link, 'type', 'veth', 'peer', 'name', 'host', 'netns', `${switchPid}`]);
  await run('ip', ['address', 'add', `${subnets.host}/24`, 'dev', link]);
  await run('ip', ['link', 'set', link, 'up']);
  const commands = ['link add switch type bridge', 'link set switch up', 'link set host master switch up'];
  await run('nsenter', [...inNetworkOf(switchPid), '-batch', '-'], { input: `${commands.join('\n')}\n` });
}

export async function connectNode(switchPid: number, port: string, nodePid: number): Promise<void> {
  const commands = [`link add ${port} type veth peer name eth0 netns ${nodePid}`, `link set ${port} master switch up`];
  await run('nsenter', [...inNetworkOf(switchPid), '-batch', '-'], { input: `${commands.join('\n')}\n` });
}
