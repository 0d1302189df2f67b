import { createHash } from 'node:crypto';
import { type Lock, lockText, packagesOf } from '../debian/lock.ts';
import { versionOf } from '../paths.ts';

/** What an image says of itself: its packages are those of a section of builder/packages. */
export const labelsOf = (lock: Lock, what: string, section: string): Record<string, string> => ({
  'org.opencontainers.image.title': `Crashcart for Kubernetes: ${what}`,
  'org.opencontainers.image.version': versionOf(),
  'org.opencontainers.image.licenses': 'Apache-2.0',
  'dev.crashcart.lock': `sha256:${createHash('sha256').update(lockText(lock)).digest('hex')}`,
  'dev.crashcart.packages': packagesOf(lock, section)
    .map(({ name, version }) => `${name}=${version}`)
    .join(' '),
});

/** The tag follows the content: a node that has an older build never mistakes it for this one. */
export const tagged =
  (name: string) =>
  (digest: string): string =>
    `localhost/${name}:${versionOf()}-${digest.replace('sha256:', '').slice(0, 12)}`;
