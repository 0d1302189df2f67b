import { profiles } from '../api/debug-session.ts';
import { type ProfileRules, type SessionLimits, seccompRules, shippedProfiles } from '../api/profile-rules.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { Fields } from './fields.ts';

const maxCapabilities = 64;
const capabilityPattern = /^[A-Z_]{1,32}$/;
/** The kernel's own greatest pid. */
const maxPids = 4_194_304;
const maxMemoryBytes = 2 ** 50;
const maxCpus = 4_096;

/**
 * The rules of an order. A controller of a version before profiles were objects sends none: its five names mean then what they always did.
 * @throws CrashcartError Invalid, naming the field
 */
export function parseRules(session: Fields): ProfileRules {
  if (!session.has('rules')) return shippedProfiles[session.oneOf('profile', profiles)];
  const rules = session.object('rules');
  return {
    capabilities: parseCapabilities(rules.object('capabilities')),
    users: rules.oneOf('users', ['Reachable', 'Any']),
    runAsNonRoot: rules.flag('runAsNonRoot'),
    seccomp: rules.oneOf('seccomp', seccompRules),
    noNewPrivileges: rules.flag('noNewPrivileges'),
    limits: parseLimits(rules.object('limits')),
  };
}

function parseCapabilities(capabilities: Fields): ProfileRules['capabilities'] {
  const add =
    capabilities.value('add') === 'All'
      ? 'All'
      : capabilities.list('add', maxCapabilities, (value) => capability(value));
  return { add, ...capabilities.optional('drop', (fields) => fields.oneOf('drop', ['All'])) };
}

function capability(value: unknown): string {
  if (typeof value === 'string' && capabilityPattern.test(value)) return value;
  throw new CrashcartError(reasons.Invalid, 'session.rules.capabilities.add must name capabilities such as NET_ADMIN');
}

function parseLimits(limits: Fields): SessionLimits {
  return {
    ...limits.optional('memoryBytes', (fields, name) => fields.integer(name, 1, maxMemoryBytes)),
    ...limits.optional('pids', (fields, name) => fields.integer(name, 1, maxPids)),
    ...limits.optional('cpus', cpus),
  };
}

/** The only number here that need not be whole. */
function cpus(fields: Fields): number {
  const value = fields.value('cpus');
  if (typeof value === 'number' && value > 0 && value <= maxCpus) return value;
  throw new CrashcartError(reasons.Invalid, `session.rules.limits.cpus must be a number of cores up to ${maxCpus}`);
}
