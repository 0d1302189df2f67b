import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { CrashcartError, describe, reasons } from '../../src/base/errors.ts';
import { run } from '../process.ts';

export interface Download {
  url: string;
  /** A second source, asked when the first has no such file. */
  fallback?: string;
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
 * elsewhere Node's own fetch. The caller checks sizes and digests. Throws NotFound when no source has such a file.
 */
export async function download(downloads: readonly Download[], helper: string = aptHelper): Promise<void> {
  if (downloads.length === 0) return;
  const get = existsSync(helper) ? (list: readonly Download[]) => downloadByApt(helper, list) : downloadByFetch;
  try {
    await get(downloads);
  } catch (error) {
    if (!(error instanceof CrashcartError) || error.reason !== reasons.NotFound) throw error;
    if (downloads.every(({ fallback }) => fallback === undefined)) throw error;
    // Which of them is gone is found out one by one: this is rare.
    for (const wanted of downloads) await downloadFromEither(wanted, get);
  }
}

async function downloadFromEither(wanted: Download, get: (list: readonly Download[]) => Promise<void>): Promise<void> {
  if (existsSync(wanted.path)) return;
  try {
    await get([wanted]);
  } catch (error) {
    if (!(error instanceof CrashcartError) || error.reason !== reasons.NotFound || !wanted.fallback) throw error;
    await get([{ ...wanted, url: wanted.fallback }]);
  }
}

async function downloadByApt(helper: string, downloads: readonly Download[]): Promise<void> {
  const options = [`Acquire::Retries=${attempts}`, 'APT::Sandbox::User=root', 'Acquire::http::Timeout=30'];
  const files = downloads.flatMap(({ url, path, sha256 }) => [url, path, `SHA256:${sha256}`]);
  try {
    await run(helper, [...options.flatMap((option) => ['-o', option]), 'download-file', ...files]);
  } catch (cause) {
    const complaint = describe(cause);
    const named = downloads.filter(({ url }) => complaint.includes(url));
    const what = (named.length > 0 ? named : downloads).map(({ url }) => url).join(', ');
    if (/Hash Sum mismatch/i.test(complaint))
      throw new CrashcartError(
        reasons.Invalid,
        `${what}: other bytes than the lock says (its sha256 differs); do not use this mirror, set DEBIAN_MIRROR to another one.`,
        { cause },
      );
    throw failed(what, /\b404\b/.test(complaint), cause);
  }
}

async function downloadByFetch(downloads: readonly Download[]): Promise<void> {
  for (const wanted of downloads) await fetchOne(wanted);
}

async function fetchOne(wanted: Download): Promise<void> {
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
    ? `The mirror has no ${what}: Debian removes a version when a newer one replaces it. Take the newer ones with \`builder/crashcart-build lock\`, or set DEBIAN_FALLBACK_MIRROR to an archive that keeps old versions.`
    : `Cannot fetch ${what}; check the network and the mirror, or set DEBIAN_MIRROR to another one.`;
  return new CrashcartError(gone ? reasons.NotFound : reasons.Unavailable, message, { cause });
}
