import { CrashcartError, reasons } from '../../base/errors.ts';

const deadlineMs = 5_000;
/** A node with thousands of containers lists a few MiB. */
const maxBodyBytes = 32 * 1024 * 1024;

/** GET of a JSON document from a daemon on a Unix socket; undefined for 404. Throws RuntimeUnavailable. */
export async function getJson(socketPath: string, path: string): Promise<unknown> {
  const signal = AbortSignal.timeout(deadlineMs);
  try {
    const { status, body } = await get(socketPath, path, signal);
    if (status === 404) return undefined;
    if (status !== 200) throw new Error(`HTTP ${status}: ${body.slice(0, 200)}`);
    return JSON.parse(body);
  } catch (cause) {
    throw new CrashcartError(
      reasons.RuntimeUnavailable,
      `The runtime at ${socketPath} did not answer: ${signal.aborted ? `not within ${deadlineMs / 1000} s` : String(cause instanceof Error ? cause.message : cause)}.`,
      { cause },
    );
  }
}

function get(socketPath: string, path: string, signal: AbortSignal): Promise<{ status: number; body: string }> {
  // Not with the file: whoever asks no daemon does not wait for it to load.
  const { request } = process.getBuiltinModule('node:http');
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, signal, headers: { host: 'localhost' }, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxBodyBytes) response.destroy(new Error(`the answer is larger than ${maxBodyBytes} bytes`));
        else chunks.push(chunk);
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString() }));
      response.on('error', reject);
    });
    asked.on('error', reject);
    asked.end();
  });
}
