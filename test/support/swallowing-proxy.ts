import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

export interface SwallowingProxy extends Disposable {
  readonly url: string;
  /** From now on nothing passes on the connections that there are, and none of them closes; new ones are as good as ever. */
  swallow(): void;
}

/** An HTTPS proxy (CONNECT) on whose connections packets can be lost for good, as when a laptop changes its network. */
export async function startSwallowingProxy(): Promise<SwallowingProxy> {
  const dead = new WeakSet<Duplex>();
  const open = new Set<Duplex>();
  const carry = (from: Duplex, to: Duplex): void => {
    open.add(from);
    from.on('data', (chunk) => dead.has(from) || to.write(chunk));
    from.on('error', () => undefined);
    from.once('close', () => {
      open.delete(from);
      if (!dead.has(from)) to.destroy();
    });
  };
  const server = createServer();
  server.on('connect', (request, near: Socket) => {
    const [host, port] = (request.url ?? '').split(':');
    const far = connect(Number(port), host ?? '');
    far.once('connect', () => near.write('HTTP/1.1 200 OK\r\n\r\n'));
    carry(near, far);
    carry(far, near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    swallow: () => {
      for (const each of open) dead.add(each);
    },
    [Symbol.dispose]: () => {
      for (const each of open) each.destroy();
      server.close();
    },
  };
}
