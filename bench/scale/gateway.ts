/** One gateway as the controller runs it, but for Kubernetes, whose part is played here: a token is the name of its node. */
import { silentLogger } from '../../src/base/log.ts';
import { AgentRegistry } from '../../src/gateway/agents.ts';
import { AttachServer } from '../../src/gateway/attach.ts';
import { noMetrics } from '../../src/gateway/metrics.ts';
import { GatewayServer } from '../../src/gateway/server.ts';
import { TunnelListener } from '../../src/gateway/tunnel-listener.ts';
import { agentReview, debugSession, requestHeader } from '../../test/support/gateway-loopback.ts';
import { answer, type GatewayOptions } from './process.ts';
import { startSessions } from './starts.ts';

const { host, port, tunnelPort, certificate, clientCa } = JSON.parse(process.argv[2] ?? '') as GatewayOptions;
const registry = new AgentRegistry();
const reviews = {
  reviewToken: async (token: string) => agentReview(token),
  authorize: async () => ({ allowed: true }),
};
/** Session `node-7-s3` is the third one of node 7. */
const sessions = {
  live: true,
  get: (_: string, name: string) => {
    const nodeName = name.replace(/-s\d+$/, '');
    return debugSession(name, { phase: 'Running', nodeName });
  },
  waitFor: async (_: string, name: string) => sessions.get(_, name),
};
const common = { reviews, metrics: noMetrics, log: silentLogger };
const tunnels = new TunnelListener({ ...common, registry, namespace: 'crashcart-system', certificate });
const attach = new AttachServer({ ...common, sessions, agents: registry });
const server = new GatewayServer({ attach, log: silentLogger, certificate, requestHeader: requestHeader(clientCa) });
await tunnels.listen(tunnelPort, host);
await server.listen(port, host);

answer((question) => {
  const [what, perSecond, seconds] = question.split(' ');
  if (what === 'starts') return startSessions(registry, Number(perSecond), Number(seconds));
  return registry.nodes().length;
});
