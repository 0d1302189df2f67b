import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { subresourceApiVersion } from '../api/names.ts';

export interface ProbeOptions {
  /** `crashcart.NAMESPACE.svc`: where the API server would ask, and the name that it would expect. */
  readonly host: string;
  readonly port: number;
  readonly caFile: string;
}

const timeoutMs = 5_000;

/** Asks what the API server asks to find out whether we are available. Never rejects. */
export async function backendAnswers({ host, port, caFile }: ProbeOptions): Promise<boolean> {
  try {
    const ca = await readFile(caFile);
    const path = `/apis/${subresourceApiVersion}`;
    return await new Promise<boolean>((resolve) => {
      const call = request({ host, port, path, ca, agent: false, signal: AbortSignal.timeout(timeoutMs) }, (answer) => {
        answer.resume();
        resolve(answer.statusCode === 200);
      });
      call.once('error', () => resolve(false));
      call.end();
    });
  } catch {
    return false;
  }
}
