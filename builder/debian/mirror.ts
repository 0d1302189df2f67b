import { readdirSync, readFileSync } from 'node:fs';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { paragraphs } from './control.ts';

const sourcesDirectory = '/etc/apt/sources.list.d';
const sourcesList = '/etc/apt/sources.list';

/**
 * The Debian mirror to fetch from, without a trailing slash: DEBIAN_MIRROR, or the one that this machine's apt uses.
 * There is no built-in default: which mirror is near, allowed and trusted is the machine's business.
 */
export function findMirror(environment: NodeJS.ProcessEnv): string {
  const wanted = environment['DEBIAN_MIRROR'];
  const uris = wanted ? [wanted] : configuredUris();
  const mirror = uris.find((uri) => /^https?:\/\//.test(uri) && (wanted || /\/debian\/?$/.test(uri)));
  if (mirror) return mirror.replace(/\/+$/, '');
  throw new CrashcartError(
    reasons.Invalid,
    wanted
      ? `DEBIAN_MIRROR is "${wanted}", which is not an http or https address; set it to one that has a pool directory.`
      : 'No Debian mirror is configured for apt on this machine; set DEBIAN_MIRROR to the address of one.',
  );
}

function configuredUris(): string[] {
  const found = readdirIfThere(sourcesDirectory).flatMap((name) => {
    const path = `${sourcesDirectory}/${name}`;
    if (name.endsWith('.sources')) return urisOfDeb822(readIfThere(path));
    return name.endsWith('.list') ? urisOfList(readIfThere(path)) : [];
  });
  return [...urisOfList(readIfThere(sourcesList)), ...found];
}

/** URIs of the enabled binary sources in a `.sources` file (deb822). */
export function urisOfDeb822(text: string): string[] {
  return [...paragraphs(text)]
    .filter((source) => source.get('Enabled') !== 'no' && source.get('Types')?.split(/\s+/).includes('deb'))
    .flatMap((source) => source.get('URIs')?.split(/\s+/) ?? []);
}

/** URIs of the binary sources in a one-line-per-source file: `deb [options] URI suite components`. */
export function urisOfList(text: string): string[] {
  return text.split('\n').flatMap((line) => /^\s*deb\s+(?:\[[^\]]*\]\s*)?(\S+)/.exec(line)?.[1] ?? []);
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function readdirIfThere(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}
