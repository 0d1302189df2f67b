/** The tunnels of many agents in one process: each as a real one, from an address of its own, to every gateway. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { silentLogger } from '../../src/base/log.ts';
import { runTunnels } from '../../src/node-agent/tunnel/tunnels.ts';
import { channels } from '../../src/wire/channel.ts';
import { tunnelName } from '../../test/support/gateway-loopback.ts';
import { type AttachmentDouble, SessionsDouble } from '../../test/support/session-double.ts';
import { type AgentsOptions, answer } from './process.ts';

const {
  from,
  to,
  sessions: sessionsEach,
  gateways,
  tunnelPort,
  directory,
} = JSON.parse(process.argv[2] ?? '') as AgentsOptions;

/** Nodes have addresses of their own, and the gateway's bounds count by address: all of 127/8 is this machine. */
const address = new AsyncLocalStorage<string>();
const connect = tls.connect.bind(tls) as (options: tls.ConnectionOptions) => tls.TLSSocket;
tls.connect = ((options: tls.ConnectionOptions) =>
  connect({ ...options, localAddress: address.getStore() } as tls.ConnectionOptions)) as typeof tls.connect;

/** A node has a processor of its own, and here a thousand share one: no more of them than this are about to come at the same time. */
const comingAtOnce = 100;

const connected = new Map<number, number>();
const tunnels = (): number => [...connected.values()].reduce((sum, count) => sum + count, 0);
answer((question) => (question === 'connected' ? tunnels() : undefined));

for (let node = from; node < to; node += 1) {
  while ((node - from) * gateways.length - tunnels() > comingAtOnce) await sleep(20);
  const tokenFile = join(directory, `token-${node}`);
  writeFileSync(tokenFile, `node-${node}`);
  const options = {
    sessions: sessionsOf(node),
    gateway: 'gateways',
    port: tunnelPort,
    serverName: tunnelName,
    caFile: join(directory, 'ca.crt'),
    tokenFile,
    version: 'bench',
    instance: `instance-${node}`,
    log: silentLogger,
    signal: new AbortController().signal,
    resolve: async () => gateways,
    onConnected: (count: number) => void connected.set(node, count),
  };
  address.run(`127.${1 + (node >> 8)}.${node & 0xff}.1`, () => void runTunnels(options));
}

/** Each shell echoes what is typed. */
function sessionsOf(node: number): SessionsDouble {
  const sessions = new SessionsDouble();
  for (let at = 0; at < sessionsEach; at += 1) {
    const name = `node-${node}-s${at}`;
    const uid = `uid-${name}`;
    sessions.sessions.set(uid, { uid, namespace: 'shop', name, phase: 'Running', attached: 0, cleanedUp: false });
  }
  sessions.onAttach = echo;
  return sessions;
}

function echo(attachment: AttachmentDouble): void {
  attachment.onInput((frame) => {
    if (frame.channel === channels.stdin) attachment.output.push({ channel: channels.stdout, payload: frame.payload });
  });
}
