import type { ProfileName } from '../../api/debug-session.ts';
import { type ProfileRules, shippedProfiles } from '../../api/profile-rules.ts';
import { capabilityMask, capabilityNames } from '../../linux/capabilities.ts';
import { usage } from '../command-line.ts';

export interface User {
  readonly uid: number;
  readonly gid?: number;
}

/** `UID` or `UID:GID`, numbers: names would have to be looked up in the container's files. @throws CrashcartError Invalid */
export function parseUser(text: string): User {
  const [, uid, gid] = /^(\d{1,10})(?::(\d{1,10}))?$/.exec(text) ?? [];
  const ids = [uid, gid].flatMap((id) => (id === undefined ? [] : [Number(id)]));
  const [first] = ids;
  // The last id of all means "unchanged" to the kernel.
  if (first === undefined || ids.some((id) => id >= 2 ** 32 - 1))
    throw usage(`--user is UID or UID:GID in numbers, not "${text}"`);
  return { uid: first, ...(gid === undefined ? {} : { gid: Number(gid) }) };
}

/** @throws CrashcartError Invalid for a name that no kernel knows */
export function parseCapability(text: string): string {
  const name = text.toUpperCase().replace(/^(CAP_)?/, 'CAP_');
  const [known] = capabilityNames(capabilityMask([name]));
  if (known === undefined)
    throw usage(`--cap ${text} is no capability: they are named as NET_ADMIN, see capabilities(7)`);
  return known;
}

/**
 * A profile as root of the node means it: root needs no session to be anybody, so any user may be asked for, and any capability beside
 * the profile's.
 */
export function rulesFor(profile: ProfileName, capabilities: readonly string[]): ProfileRules {
  const rules = shippedProfiles[profile];
  const { add } = rules.capabilities;
  if (rules.capabilities.drop === 'All' && capabilities.length > 0) {
    throw usage(`the profile "${profile}" has no capabilities: leave --cap out, or take another profile`);
  }
  return {
    ...rules,
    users: 'Any',
    capabilities: { ...rules.capabilities, add: add === 'All' ? add : [...add, ...capabilities] },
  };
}
