import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

/** What a page says; `status` is 200 unless it says otherwise. */
export interface Page {
  readonly status?: number;
  readonly type?: string;
  readonly text: string;
}

export type Pages = Readonly<Record<string, () => Page | Promise<Page>>>;

/** A kubelet and a few scrapers have one or two each; everything in a cluster may be able to connect. */
const maxConnections = 64;

/** Plain HTTP for machines (probes, a scraper of metrics): a page for each path, to be read and nothing else. Resolves when it listens. */
export async function servePages(port: number, pages: Pages): Promise<Server> {
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 5_000 }, (request, response) => {
    void answer(request, response, pages);
  });
  server.maxConnections = maxConnections;
  server.listen(port);
  await once(server, 'listening');
  return server;
}

async function answer(request: IncomingMessage, response: ServerResponse, pages: Pages): Promise<void> {
  const { status = 200, type = 'text/plain; charset=utf-8', text } = await pageFor(request, pages);
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'x-content-type-options': 'nosniff',
    ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : text);
}

async function pageFor({ method, url = '/' }: IncomingMessage, pages: Pages): Promise<Page> {
  const path = /^[^?#]*/.exec(url)?.[0] ?? '';
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  if (page === undefined) return { status: 404, text: `There is ${Object.keys(pages).join(', ')}.\n` };
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, text: 'This page can only be read.\n' };
  try {
    return await page();
  } catch (caught) {
    return { status: 500, text: `${String(caught)}\n` };
  }
}
