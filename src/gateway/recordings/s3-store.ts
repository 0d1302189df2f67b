import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AwsV4Signer } from 'aws4fetch';
import { CrashcartError, reasons } from '../../base/errors.ts';
import { castMediaType } from '../../wire/asciicast.ts';
import type { RecordingFacts, RecordingPart, RecordingStore } from './store.ts';

export interface S3Options {
  /** `https://HOST[:PORT]`; the bucket stands in the path, which every S3 service takes. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** Empty, or ending with a slash. */
  readonly prefix: string;
  /** Directory with the files accessKeyId, secretAccessKey and, where there is one, sessionToken; read anew for each request. */
  readonly credentials: string;
  /** Empty: the bucket's default. */
  readonly encryption: string;
}

/** A service that says nothing for so long is not there. */
const idleTimeoutMs = 30_000;
const emptySha256 = createHash('sha256').digest('hex');
const longestRefusal = 4096;

/**
 * An S3-compatible bucket. A recording is one PUT whose SHA-256 is signed, so that the service refuses bytes that do not have it; then the
 * service is asked what it has, and where it tells no checksum, the bytes are read back.
 */
export class S3Store implements RecordingStore {
  readonly #options: S3Options;

  constructor(options: S3Options) {
    this.#options = options;
  }

  locationOf(key: string): string {
    const { bucket, prefix } = this.#options;
    return `s3://${bucket}/${prefix}${key}`;
  }

  keyOf(location: string): string | undefined {
    const start = this.locationOf('');
    return location.startsWith(start) ? location.slice(start.length) : undefined;
  }

  async put(key: string, facts: RecordingFacts, open: () => Promise<Readable>): Promise<void> {
    const there = await this.#confirmed(key, facts);
    if (there === 'same') return;
    if (there === 'other') throw new CrashcartError(reasons.Invalid, `the bucket has another recording at ${key}`);
    const { encryption } = this.#options;
    const headers = {
      'content-type': castMediaType,
      'content-length': `${facts.bytes}`,
      'x-amz-content-sha256': facts.sha256,
      'x-amz-checksum-sha256': Buffer.from(facts.sha256, 'hex').toString('base64'),
      ...(encryption === '' ? {} : { 'x-amz-server-side-encryption': encryption }),
    };
    const response = await this.#send('PUT', key, headers, await open());
    await requireOk(response, `store ${key}`);
    response.resume();
    if ((await this.#confirmed(key, facts)) === 'same') return;
    throw new CrashcartError(reasons.Unavailable, `the bucket does not have ${key} as it was sent`);
  }

  async read(key: string, from: number, limit: number): Promise<RecordingPart> {
    const range = { range: `bytes=${from}-${from + limit - 1}` };
    const response = await this.#send('GET', key, { 'x-amz-content-sha256': emptySha256, ...range });
    if (response.statusCode === 416) {
      response.resume();
      const head = await this.#send('HEAD', key, { 'x-amz-content-sha256': emptySha256 });
      head.resume();
      return { length: Number(head.headers['content-length']) };
    }
    await requireOk(response, `read ${key}`);
    const [, whole] = /\/(\d+)$/.exec(response.headers['content-range'] ?? '') ?? [];
    if (response.statusCode === 206 && whole !== undefined) return { length: Number(whole), bytes: response };
    response.destroy();
    throw new CrashcartError(reasons.Unavailable, 'the bucket gave no part of the recording: it must support ranges');
  }

  /** What the service says it has. */
  async #confirmed(key: string, facts: RecordingFacts): Promise<'same' | 'other' | 'absent'> {
    const headers = { 'x-amz-content-sha256': emptySha256, 'x-amz-checksum-mode': 'ENABLED' };
    const response = await this.#send('HEAD', key, headers);
    response.resume();
    // Without the right to list a bucket, what is not there is forbidden.
    if (response.statusCode === 404 || response.statusCode === 403) return 'absent';
    await requireOk(response, `look at ${key}`);
    if (Number(response.headers['content-length']) !== facts.bytes) return 'other';
    const checksum = response.headers['x-amz-checksum-sha256'];
    const sha256 =
      typeof checksum === 'string' ? Buffer.from(checksum, 'base64').toString('hex') : await this.#hash(key);
    return sha256 === facts.sha256 ? 'same' : 'other';
  }

  async #hash(key: string): Promise<string> {
    const response = await this.#send('GET', key, { 'x-amz-content-sha256': emptySha256 });
    await requireOk(response, `read ${key} back`);
    const hash = createHash('sha256');
    for await (const chunk of response) hash.update(chunk as Buffer);
    return hash.digest('hex');
  }

  async #send(
    method: 'GET' | 'HEAD' | 'PUT',
    key: string,
    headers: Readonly<Record<string, string>>,
    body?: Readable,
  ): Promise<IncomingMessage> {
    const { endpoint, bucket, prefix, region } = this.#options;
    const url = new URL(`/${[bucket, ...`${prefix}${key}`.split('/')].map(encodeURIComponent).join('/')}`, endpoint);
    let signed: Awaited<ReturnType<AwsV4Signer['sign']>>;
    try {
      const credentials = await this.#credentials();
      signed = await new AwsV4Signer({ method, url: url.href, headers, region, service: 's3', ...credentials }).sign();
    } catch (cause) {
      body?.destroy();
      throw cause instanceof CrashcartError ? cause : unreachable(endpoint, cause);
    }
    const send = url.protocol === 'http:' ? httpRequest : httpsRequest;
    const call = send(url, { method, headers: { ...headers, ...Object.fromEntries(signed.headers) } });
    call.setTimeout(idleTimeoutMs, () => call.destroy(new Error(`no answer for ${idleTimeoutMs / 1_000} s`)));
    return answerOf(call, body, endpoint);
  }

  async #credentials(): Promise<{ accessKeyId: string; secretAccessKey: string; sessionToken?: string }> {
    const read = async (name: string): Promise<string> =>
      (await readFile(join(this.#options.credentials, name), 'utf8')).trim();
    try {
      const [accessKeyId, secretAccessKey, sessionToken] = await Promise.all([
        read('accessKeyId'),
        read('secretAccessKey'),
        read('sessionToken').catch(() => ''),
      ]);
      return { accessKeyId, secretAccessKey, ...(sessionToken === '' ? {} : { sessionToken }) };
    } catch (cause) {
      const message = 'the credentials of the bucket cannot be read: its Secret needs accessKeyId and secretAccessKey';
      throw new CrashcartError(reasons.Unavailable, message, { cause });
    }
  }
}

/** The head of the answer; a body is sent as it comes, and one that breaks breaks the request. */
async function answerOf(call: ClientRequest, body: Readable | undefined, endpoint: string): Promise<IncomingMessage> {
  const answer = new Promise<IncomingMessage>((resolve, reject) => {
    call.once('response', resolve);
    // Kept for the request's whole life: an error that nobody listens for would end the process.
    call.on('error', (cause) => reject(cause instanceof CrashcartError ? cause : unreachable(endpoint, cause)));
  });
  if (body === undefined) call.end();
  // A service that refuses may answer before it has read everything.
  else pipeline(body, call).catch((cause: unknown) => call.destroy(cause instanceof Error ? cause : undefined));
  return answer;
}

async function requireOk(response: IncomingMessage, what: string): Promise<void> {
  const { statusCode = 0 } = response;
  if (statusCode >= 200 && statusCode <= 299) return;
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk;
    if (text.length > longestRefusal) break;
  }
  const [, code = ''] = /<Code>([A-Za-z0-9]{1,64})<\/Code>/.exec(text) ?? [];
  const reason = statusCode === 404 ? reasons.NotFound : reasons.Unavailable;
  throw new CrashcartError(reason, `the bucket refused to ${what}: HTTP ${statusCode}${code === '' ? '' : ` ${code}`}`);
}

const unreachable = (endpoint: string, cause: unknown): CrashcartError =>
  new CrashcartError(reasons.Unavailable, `the bucket at ${endpoint} cannot be reached`, { cause });
