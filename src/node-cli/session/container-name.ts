import type { ContainerName } from '../state/records.ts';
import type { NodeTarget } from '../target/find.ts';
import { labelOf } from '../target/match.ts';

/** How records and tables call a container. */
export const nameOf = ({ candidate }: NodeTarget): ContainerName => ({
  runtime: candidate.runtime,
  id: candidate.id,
  label: labelOf(candidate),
});
