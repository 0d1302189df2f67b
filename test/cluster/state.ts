import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { deriveNaming, type Naming, repository } from './naming.ts';
import type { ProcessIdentity } from './process.ts';

export interface NodeState {
  readonly name: string;
  readonly ip: string;
  /** Pid 1 of the node, as the host numbers it. */
  readonly init: ProcessIdentity;
}

/** What is written down before anything is started, so that whoever comes after a crash can end it. */
export interface ClusterState {
  readonly name: string;
  readonly block: number;
  /** Processes on the host that hold the cluster's namespaces. */
  readonly holders: readonly ProcessIdentity[];
  readonly nodes: readonly NodeState[];
  readonly binaries: Readonly<Record<string, string>>;
}

export const absolute = (path: string): string => resolve(repository, path);
export const directoryOf = (naming: Naming): string => absolute(naming.directory);

export function writeState(state: ClusterState): void {
  const directory = directoryOf(deriveNaming(state.name));
  mkdirSync(directory, { recursive: true });
  const file = join(directory, 'state.json');
  writeFileSync(`${file}.new`, `${JSON.stringify(state, undefined, 2)}\n`);
  renameSync(`${file}.new`, file);
}

/** Undefined when there is no such cluster. Throws Invalid if the file is not ours. */
export function readState(name: string): ClusterState | undefined {
  const file = join(directoryOf(deriveNaming(name)), 'state.json');
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const state = JSON.parse(text) as ClusterState;
  if (state.name !== name || !Array.isArray(state.nodes) || !Array.isArray(state.holders)) {
    throw new CrashcartError(reasons.Invalid, `${file} is not the state of the cluster '${name}': remove it.`);
  }
  return state;
}
