import { parseDuration } from '../base/duration.ts';
import { ApiClient } from './api-client.ts';
import { type CommandLine, usage } from './command-line.ts';
import type { Host } from './host.ts';
import { connect } from './kubeconfig.ts';
import { selectionOf } from './selection.ts';

/** One run of the program, as a verb gets it. */
export interface Invocation {
  /** Without the verb itself. */
  readonly line: CommandLine;
  readonly host: Host;
}

/** A verb's work; resolves with the exit code. @throws CrashcartError with the sentence to print; then the code is 1 */
export type Run = (invocation: Invocation) => Promise<number>;

/** @throws CrashcartError Invalid */
export function apiOf({ line, host }: Invocation): ApiClient {
  return new ApiClient(connect(selectionOf(line, host.env)), timeoutOf(line));
}

function timeoutOf(line: CommandLine): number | undefined {
  const text = line.text('request-timeout');
  if (text === undefined) return undefined;
  // kubectl takes bare numbers for seconds.
  const ms = parseDuration(/^\d+$/.test(text) ? `${text}s` : text);
  if (ms === undefined) throw usage(`--request-timeout is a time such as 5s or 2m, not "${text}"`);
  // 0 is kubectl's word for "no limit"; an hour is as good, and stays a number.
  return ms === 0 ? 3_600_000 : ms;
}
