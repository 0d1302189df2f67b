import type { DebugProfile } from '../api/debug-profile.ts';
import type { DebugSession } from '../api/debug-session.ts';
import { reasons } from '../base/errors.ts';
import type { Failure } from './target.ts';

/**
 * Why a session may not start with this profile; undefined: it may. An admission policy says most of it at creation already, from the profile as it
 * was then: here it is decided.
 */
export function profileRefusal({ spec }: DebugSession, { name, bounds }: DebugProfile): Failure | undefined {
  const refuse = (why: string): Failure => ({
    reason: reasons.ProfileRefused,
    message: `the profile "${name}" ${why}`,
  });
  if (bounds.requireReason && spec.reason === undefined) {
    return refuse('requires a reason: give one with --reason, or in spec.reason');
  }
  if (!bounds.visibilities.includes(spec.visibility)) {
    return refuse(`does not allow the visibility ${spec.visibility}: it allows ${bounds.visibilities.join(', ')}`);
  }
  if (bounds.toolboxes && !bounds.toolboxes.includes(spec.toolbox)) {
    return refuse(`does not allow the toolbox "${spec.toolbox}": it allows ${bounds.toolboxes.join(', ')}`);
  }
  return undefined;
}
