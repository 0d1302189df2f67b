/** Many attached clients in one process. Each types a key a second when told to, and waits for its echo. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { attachPath } from '../../src/api/names.ts';
import { channels, encodeMessage } from '../../src/wire/channel.ts';
import { answer, type ClientsOptions } from './process.ts';

const { port, ca, client, sessions } = JSON.parse(process.argv[2] ?? '') as ClientsOptions;
const sockets: WebSocket[] = [];

/** So many at once, as a crowd after an incident; each handshake is one of TLS too. */
const atOnce = 32;

async function attachAll(): Promise<number> {
  const waiting = [...sessions];
  const worker = async (): Promise<void> => {
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      const query = '?stdin=true&stdout=true&tty=true';
      const socket = new WebSocket(
        `wss://localhost:${port}${attachPath('shop', name)}${query}`,
        ['v5.channel.k8s.io'],
        {
          ca,
          ...client,
          perMessageDeflate: false,
          headers: { 'X-Remote-User': 'alice' },
        },
      );
      await once(socket, 'open');
      socket.on('error', () => undefined);
      sockets.push(socket);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return sockets.length;
}

/** Milliseconds of each echo: every client types `keys` keys, one a second, at a moment of its own. */
async function type(keys: number): Promise<readonly number[]> {
  const times: number[] = [];
  const one = async (socket: WebSocket): Promise<void> => {
    await sleep(Math.random() * 1_000);
    for (let key = 0; key < keys; key += 1) {
      const start = performance.now();
      const echoed = once(socket, 'message');
      socket.send(encodeMessage(channels.stdin, Buffer.from('Q')));
      await echoed;
      times.push(performance.now() - start);
      await sleep(1_000);
    }
  };
  await Promise.all(sockets.map(one));
  return times;
}

answer((question) => {
  if (question === 'attach') return attachAll();
  if (question === 'type') return type(10);
  return sockets.filter((socket) => socket.readyState === WebSocket.OPEN).length;
});
