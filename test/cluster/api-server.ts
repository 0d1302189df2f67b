import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { parse } from 'yaml';

/** Just enough of a client to see a cluster come up: no process per question. */
export interface ApiServer {
  /** Status and body of a GET; undefined while nobody answers. */
  readonly get: (path: string) => Promise<{ readonly status: number; readonly body: string } | undefined>;
  readonly close: () => void;
}

const maxBody = 8 << 20;

export function connectApiServer(kubeconfig: string): ApiServer {
  const config = parse(readFileSync(kubeconfig, 'utf8')) as {
    clusters: [{ cluster: Record<string, string> }];
    users: [{ user: Record<string, string> }];
  };
  const { cluster } = config.clusters[0];
  const { user } = config.users[0];
  const decoded = (text: string | undefined): Buffer => Buffer.from(text ?? '', 'base64');
  const agent = new Agent({
    keepAlive: true,
    ca: decoded(cluster['certificate-authority-data']),
    cert: decoded(user['client-certificate-data']),
    key: decoded(user['client-key-data']),
  });
  const get: ApiServer['get'] = (path) =>
    new Promise((done) => {
      const asked = request(`${cluster['server']}${path}`, { agent, timeout: 5_000 }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text;
          if (body.length > maxBody) response.destroy();
        });
        response.on('end', () => done({ status: response.statusCode ?? 0, body }));
        response.on('error', () => done(undefined));
      });
      asked.on('timeout', () => asked.destroy());
      asked.on('error', () => done(undefined));
      asked.end();
    });
  return { get, close: () => agent.destroy() };
}
