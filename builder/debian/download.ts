import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { CrashcartError, describe, reasons } from '../../src/base/errors.ts';
import { run } from '../process.ts';

export interface Download {
  url: string;
  /** Where it is written; the directory exists. */
  path: string;
  size: number;
  sha256: string;
}

const aptHelper = '/usr/lib/apt/apt-helper';
const attempts = 3;
const pauseMs = 1000;
const fetchTimeoutMs = 120_000;

/**
 * Downloads all of them. With apt on the machine apt does it, so that its proxies, credentials and certificates count;
 * elsewhere Node's own fetch. The caller checks sizes and digests. Throws NotFound when the server has no such file.
 */
export async function download(downloads: readonly Download[], helper: string = aptHelper): Promise<void> {
  if (downloads.length === 0) return;
  if (existsSync(helper)) return downloadByApt(helper, downloads);
  for (const wanted of downloads) await downloadByFetch(wanted);
}

async function downloadByApt(helper: string, downloads: readonly Download[]): Promise<void> {
  const options = [`Acquire::Retries=${attempts}`, 'APT::Sandbox::User=root', 'Acquire::http::Timeout=30'];
  const files = downloads.flatMap(({ url, path, sha256 }) => [url, path, `SHA256:${sha256}`]);
  try {
    await run(helper, [...options.flatMap((option) => ['-o', option]), 'download-file', ...files]);
  } catch (cause) {
    throw failed(downloads.map(({ url }) => url).join(', '), /\b404\b/.test(describe(cause)), cause);
  }
}

async function downloadByFetch(wanted: Download): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await fetch(wanted.url, { signal: AbortSignal.timeout(fetchTimeoutMs) });
      if (response.status === 404) throw failed(wanted.url, true);
      if (!response.ok) throw new Error(`${wanted.url} answered ${response.status}`);
      return await writeFile(wanted.path, await bounded(response, wanted.size));
    } catch (cause) {
      if (cause instanceof CrashcartError) throw cause;
      if (attempt === attempts) throw failed(wanted.url, false, cause);
      await delay(pauseMs * attempt);
    }
  }
}

/** The body, given up as soon as it is longer than it should be. */
async function bounded(response: Response, size: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let seen = 0;
  for await (const chunk of response.body ?? []) {
    seen += chunk.length;
    if (seen > size) throw new Error(`${response.url} sends more than the ${size} bytes that the lock says`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function failed(what: string, gone: boolean, cause?: unknown): CrashcartError {
  const message = gone
    ? `The mirror has no ${what}: Debian removes a version when a newer one replaces it. Take the newer ones with \`node builder/main.ts lock\`, or set DEBIAN_MIRROR to a mirror that keeps old versions.`
    : `Cannot fetch ${what}; check the network and the mirror, or set DEBIAN_MIRROR to another one.`;
  return new CrashcartError(gone ? reasons.NotFound : reasons.Unavailable, message, { cause });
}
