import { CrashcartError, reasons } from '../../src/base/errors.ts';
import type { Elf } from '../elf/elf.ts';
import { prefix } from '../relocate/patch.ts';
import { resolvePath } from './selection.ts';

/** What a tree is checked by. */
export interface Node {
  path: string;
  target?: string;
  elf?: Elf;
  /** Of a script: the program after `#!`. */
  interpreter?: string;
}

/**
 * Everything that the kernel or the loader would look for on behalf of a file of the tree is in the tree. Throws Invalid with each thing
 * that is not: links, interpreters of programs and scripts, needed libraries; and programs of another machine.
 */
export function assertClosed(nodes: readonly Node[], machine: number): void {
  const byPath = new Map(nodes.map((node) => [node.path, node]));
  const directories = new Set<string>();
  for (const { path } of nodes)
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) directories.add(path.slice(0, at));
  const resolves = (path: string, steps = 0): boolean => {
    if (directories.has(path)) return true;
    const node = byPath.get(path);
    if (node) return node.target === undefined || (steps < 16 && resolves(resolvePath(path, node.target), steps + 1));
    // A directory on the way may be a link.
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const parent = byPath.get(path.slice(0, at));
      if (parent?.target !== undefined)
        return steps < 16 && resolves(`${resolvePath(parent.path, parent.target)}${path.slice(at)}`, steps + 1);
    }
    return false;
  };
  const problems: string[] = [];
  for (const node of nodes) {
    if (node.target !== undefined && (node.target.startsWith('/') || !resolves(node.path)))
      problems.push(`${node.path} is a link to ${node.target}, which is not in the toolbox`);
    if (node.interpreter !== undefined) {
      const program = node.interpreter.split(/\s/)[0] ?? '';
      if (!program.startsWith(`${prefix}/`) || !resolves(program.slice(prefix.length + 1)))
        problems.push(`${node.path} is run by ${program}, which is not in the toolbox`);
    }
    if (node.elf) {
      if (node.elf.machine !== machine)
        problems.push(`${node.path} is for the machine ${node.elf.machine}, not ${machine}`);
      if (node.elf.interpreter && !resolves('ld.so')) problems.push(`${node.path} wants a loader`);
      for (const needed of node.elf.needed)
        if (!resolves(`lib/${needed}`)) problems.push(`${node.path} needs ${needed}, which is not in lib`);
    }
  }
  if (problems.length > 0)
    throw new CrashcartError(reasons.Invalid, `The toolbox is not closed: ${problems.slice(0, 20).join('; ')}.`);
}
