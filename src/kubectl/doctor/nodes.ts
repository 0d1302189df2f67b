import type { Facts } from './facts.ts';
import { type Finding, unanswered } from './finding.ts';
import type { ContainerStatus, DaemonSet, Node, Pod } from './objects.ts';

/** Mounts by descriptor and `cgroup.kill`: nothing older will do. */
const oldestKernel = [5, 14] as const;

/** One line a node: whether its agent is ready, on which kernel. And one for the toolboxes, which the agents carry. */
export function nodeFindings({ agents, agentPods, nodes, installation }: Facts): readonly Finding[] {
  return [
    agentsFinding(agents, installation),
    toolboxFinding(agents, installation),
    ...perNode(agentPods, nodes, installation),
  ];
}

function agentsFinding(agents: Facts['agents'], installation: string): Finding {
  const check = 'agents';
  if (!agents.known) return unanswered(check, `DaemonSet crashcart-agent in ${installation}`, agents);
  const { desiredNumberScheduled: wanted = 0, numberReady: ready = 0 } = agents.value.status ?? {};
  const says = `${ready} of ${wanted} ready`;
  const next = `kubectl -n ${installation} get pods -l app.kubernetes.io/component=agent -o wide`;
  if (wanted === 0) {
    return {
      check,
      state: 'fault',
      says: 'no node is wanted to run an agent',
      next: 'see agent.nodeSelector and agent.tolerations of the chart',
    };
  }
  if (ready === 0) return { check, state: 'fault', says, next };
  return ready < wanted ? { check, state: 'warning', says, next } : { check, state: 'ok', says };
}

const toolboxPrefix = 'toolbox-';

function toolboxFinding(agents: Facts['agents'], installation: string): Finding {
  const check = 'toolbox';
  if (!agents.known) return unanswered(check, `DaemonSet crashcart-agent in ${installation}`, agents);
  const images = toolboxesOf(agents.value);
  if (images.length > 0) return { check, state: 'ok', says: images.join(', ') };
  return { check, state: 'fault', says: 'the agents have no toolbox', next: 'give the chart toolboxes.default.image' };
}

const toolboxesOf = ({ spec }: DaemonSet): readonly string[] =>
  (spec?.template?.spec?.initContainers ?? [])
    .filter(({ name }) => name.startsWith(toolboxPrefix))
    .map(({ name, image }) => `${name.slice(toolboxPrefix.length)} (${image ?? 'no image'})`);

function perNode(pods: Facts['agentPods'], nodes: Facts['nodes'], installation: string): readonly Finding[] {
  if (!nodes.known) return [unanswered('nodes', 'nodes', nodes)];
  const agents = new Map((pods.known ? (pods.value.items ?? []) : []).map((pod) => [pod.spec?.nodeName, pod]));
  return (nodes.value.items ?? []).map((node) =>
    nodeFinding(node, pods.known ? agents.get(node.metadata.name) : 'unread', installation),
  );
}

function nodeFinding(node: Node, agent: Pod | undefined | 'unread', installation: string): Finding {
  const check = `node ${node.metadata.name}`;
  const {
    kernelVersion = '',
    containerRuntimeVersion = 'unknown runtime',
    operatingSystem,
  } = node.status?.nodeInfo ?? {};
  const machine = `Linux ${kernelVersion}, ${containerRuntimeVersion}`;
  if (operatingSystem === 'windows') return { check, state: 'ok', says: 'Windows: not for us' };
  if (isTooOld(kernelVersion)) {
    return {
      check,
      state: 'fault',
      says: `${machine}: Linux ${oldestKernel.join('.')} or later is needed`,
      next: "update the node's system",
    };
  }
  if (!containerRuntimeVersion.startsWith('containerd://')) {
    return {
      check,
      state: 'warning',
      says: `${machine}: only containerd is known to work`,
      next: 'see docs/install.md',
    };
  }
  if (node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status !== 'True')) {
    return {
      check,
      state: 'warning',
      says: `the node is not ready; ${machine}`,
      next: `kubectl describe node ${node.metadata.name}`,
    };
  }
  if (agent === 'unread')
    return { check, state: 'unknown', says: `${machine}; you may not see whether its agent is ready` };
  if (!agent) {
    return {
      check,
      state: 'warning',
      says: `no agent; ${machine}`,
      next: 'a taint that agent.tolerations does not name, or agent.nodeSelector',
    };
  }
  const ready = agent.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
  if (ready) return { check, state: 'ok', says: `agent ready; ${machine}${restartsOf(agent)}` };
  const { name } = agent.metadata;
  return {
    check,
    state: 'fault',
    says: `its agent is not ready${waitingFor(agent)}; ${machine}`,
    next: `kubectl -n ${installation} describe pod ${name}; kubectl -n ${installation} logs ${name}`,
  };
}

const containersOf = ({ status }: Pod): readonly ContainerStatus[] => [
  ...(status?.initContainerStatuses ?? []),
  ...(status?.containerStatuses ?? []),
];

function waitingFor(agent: Pod): string {
  const waiting = containersOf(agent).find(({ state }) => state?.waiting?.reason);
  return waiting ? `: ${waiting.name} ${waiting.state?.waiting?.reason}` : '';
}

function restartsOf(agent: Pod): string {
  const count = agent.status?.containerStatuses?.reduce((sum, { restartCount = 0 }) => sum + restartCount, 0) ?? 0;
  return count > 0 ? `; ${count} restarts` : '';
}

/** What cannot be read as a version is let through: the agent finds out. */
function isTooOld(kernel: string): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(kernel) ?? [];
  if (major === undefined) return false;
  const [oldMajor, oldMinor] = oldestKernel;
  return Number(major) < oldMajor || (Number(major) === oldMajor && Number(minor) < oldMinor);
}
