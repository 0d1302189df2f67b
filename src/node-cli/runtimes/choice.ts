import { usage } from '../command-line.ts';
import { runtimeNames } from '../command-table.ts';
import type { RuntimeName } from './runtime.ts';

/** What `--runtime NAME[=SOCKET]` asks for. */
export interface RuntimeChoice {
  readonly name: RuntimeName;
  readonly socket?: string;
}

export function parseRuntimeChoice(text: string): RuntimeChoice {
  const [name = '', socket] = text.split(/=(.*)/s);
  if (!isRuntimeName(name)) throw usage(`--runtime is one of ${runtimeNames.join(', ')}, not "${name}"`);
  if (socket !== undefined && !socket.startsWith('/'))
    throw usage(`the socket of --runtime ${name} must be an absolute path`);
  return { name, ...(socket === undefined ? {} : { socket }) };
}

const isRuntimeName = (name: string): name is RuntimeName => (runtimeNames as readonly string[]).includes(name);
