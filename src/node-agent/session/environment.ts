import { toolboxMount } from '../../api/names.ts';

/** What the kernel and most shells take where nothing is said. */
const usualPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The session's whole environment: what the agent gives, and PATH with the toolbox first. Of the container's own only PATH is taken: the rest
 * holds its secrets, and variables that change what our programs do (LD_PRELOAD, PYTHONPATH).
 */
export function sessionEnvironment(
  given: Readonly<Record<string, string>>,
  containerEnvironment: readonly string[],
): Readonly<Record<string, string>> {
  const path = containerEnvironment.findLast((entry) => entry.startsWith('PATH='))?.slice('PATH='.length) || usualPath;
  return { ...given, PATH: `${toolboxMount}/bin:${toolboxMount}/sbin:${path}` };
}
