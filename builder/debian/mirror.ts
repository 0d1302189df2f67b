import { readdirSync, readFileSync } from 'node:fs';
import { CrashcartError, reasons } from '../../src/base/errors.ts';
import { paragraphs } from './control.ts';
import type { Archive } from './lock.ts';

const sourcesDirectory = '/etc/apt/sources.list.d';
const sourcesList = '/etc/apt/sources.list';

const variables = { debian: 'DEBIAN_MIRROR', 'debian-security': 'DEBIAN_SECURITY_MIRROR' } as const;

/**
 * The mirror of an archive, without a trailing slash: what DEBIAN_MIRROR or DEBIAN_SECURITY_MIRROR says, or the one that this
 * machine's apt uses. A DEBIAN_MIRROR alone is taken to have the security updates beside it, as mirrors do.
 * There is no built-in default: which mirror is near, allowed and trusted is the machine's business.
 */
export function findMirror(environment: NodeJS.ProcessEnv, archive: Archive = 'debian'): string {
  const variable = variables[archive];
  const wanted = environment[variable] || beside(environment['DEBIAN_MIRROR'], archive);
  const uris = wanted ? [wanted] : configuredUris();
  const mirror = uris.find((uri) => /^https?:\/\//.test(uri) && (wanted || new RegExp(`/${archive}/?$`).test(uri)));
  if (mirror) return mirror.replace(/\/+$/, '');
  throw new CrashcartError(
    reasons.Invalid,
    wanted
      ? `${variable} is "${wanted}", which is not an http or https address; set it to one that has a pool directory.`
      : `No mirror of ${archive} is configured for apt on this machine; set ${variable} to the address of one.`,
  );
}

/** The same host's directory of the other archive: `…/debian` has `…/debian-security` beside it. */
const beside = (mirror: string | undefined, archive: Archive): string | undefined =>
  mirror?.replace(/(\/debian)?\/*$/, (found) => (found.startsWith('/debian') ? `/${archive}` : ''));

/**
 * Where versions are that the mirror does not have any more: DEBIAN_FALLBACK_MIRROR, an address in which {archive} and {date}
 * (as archives of old versions write it, 20261124T091544Z) are replaced. Undefined when none is configured.
 */
export function findFallback(environment: NodeJS.ProcessEnv, archive: Archive, date: string): string | undefined {
  const template = environment['DEBIAN_FALLBACK_MIRROR'];
  if (!template) return undefined;
  if (!/^https?:\/\//.test(template))
    throw new CrashcartError(
      reasons.Invalid,
      `DEBIAN_FALLBACK_MIRROR is "${template}", which is not an http or https address.`,
    );
  return template.replaceAll('{archive}', archive).replaceAll('{date}', date.replace(/[-:]/g, '')).replace(/\/+$/, '');
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
