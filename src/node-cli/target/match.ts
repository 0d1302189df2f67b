import { CrashcartError, reasons } from '../../base/errors.ts';
import { printable } from '../../base/text.ts';
import type { Candidate } from '../runtimes/runtime.ts';

/** What a person calls a container. */
export type Reference =
  | { readonly kind: 'any'; readonly text: string }
  | { readonly kind: 'pod'; readonly namespace: string; readonly pod: string; readonly container?: string };

/** `k8s NAMESPACE/POD[/CONTAINER]`, or anything else. @throws CrashcartError Invalid */
export function parseReference(id: string): Reference {
  if (!id.startsWith('k8s ')) return { kind: 'any', text: id };
  const [namespace, pod, container, more] = id.slice('k8s '.length).split('/');
  if (!namespace || !pod || container === '' || more !== undefined) {
    throw new CrashcartError(reasons.Invalid, `"${id.slice(4)}" is not NAMESPACE/POD or NAMESPACE/POD/CONTAINER.`);
  }
  return { kind: 'pod', namespace, pod, ...(container === undefined ? {} : { container }) };
}

/**
 * The one container that is meant. Whole ids and names go before starts of ids, running containers before others.
 * Throws ContainerNotFound, ContainerNotRunning, or ContainerAmbiguous with the list to choose from.
 */
export function matchOne(reference: Reference, candidates: readonly Candidate[]): Candidate {
  const all =
    reference.kind === 'pod'
      ? candidates.filter((each) => isInPod(each, reference))
      : matchText(reference.text, candidates);
  const running = all.filter((each) => each.running);
  const [only, ...others] = running.length > 0 ? running : all;
  if (only === undefined) throw notFound(reference);
  if (others.length > 0) throw ambiguous(reference, [only, ...others]);
  if (!only.running) {
    throw new CrashcartError(
      reasons.ContainerNotRunning,
      `${titleOf(only)} is not running (${printable(only.state)}): start it first.`,
    );
  }
  return only;
}

const isInPod = ({ pod }: Candidate, wanted: Extract<Reference, { kind: 'pod' }>): boolean =>
  pod !== undefined &&
  pod.namespace === wanted.namespace &&
  pod.name === wanted.pod &&
  (wanted.container === undefined || pod.container === wanted.container);

function matchText(text: string, candidates: readonly Candidate[]): readonly Candidate[] {
  const whole = candidates.filter(
    ({ id, names, pod }) => id === text || names.includes(text) || pod?.name === text || pod?.id === text,
  );
  const start = candidates.filter(({ id, pod }) => id.startsWith(text) || pod?.id?.startsWith(text));
  // A number may be a pid and the start of an id: which one is meant is not ours to guess.
  const onlyPid = whole.length > 0 && whole.every(({ runtime }) => runtime === 'pid');
  if (onlyPid) return [...whole, ...start.filter((each) => !whole.includes(each))];
  return whole.length > 0 ? whole : start;
}

const nameOf = (reference: Reference): string =>
  reference.kind === 'any'
    ? reference.text
    : [reference.namespace, reference.pod, reference.container].filter(Boolean).join('/');

const notFound = (reference: Reference): CrashcartError =>
  new CrashcartError(
    reasons.ContainerNotFound,
    `No container, pod or process is called "${printable(nameOf(reference))}" here, and no id starts so: "crashcart doctor" says which runtimes were asked.`,
  );

const mostListed = 20;

function ambiguous(reference: Reference, found: readonly Candidate[]): CrashcartError {
  // Runtimes list in no order of their own.
  const sorted = found.toSorted((one, other) => labelOf(one).localeCompare(labelOf(other)));
  const lines = sorted.slice(0, mostListed).map((each) => `  ${rowOf(each)}`);
  const more = found.length > mostListed ? [`  and ${found.length - mostListed} more`] : [];
  return new CrashcartError(
    reasons.ContainerAmbiguous,
    [
      `"${printable(nameOf(reference))}" may be any of these; give more of the id, or say --runtime:`,
      ...lines,
      ...more,
    ].join('\n'),
  );
}

const rowOf = (candidate: Candidate): string =>
  printable([candidate.runtime.padEnd(10), shortId(candidate.id).padEnd(14), labelOf(candidate)].join(' '));

/** Ids of 64 digits are told apart by their first twelve; what is not such an id is a name of its own. */
export const shortId = (id: string): string => (/^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id);

/** A container's name among people: of a pod's `namespace/pod/container`. */
export function labelOf({ id, names, pod, namespace, runtime }: Candidate): string {
  if (pod) return [pod.namespace, pod.name, pod.container].filter(Boolean).join('/');
  if (runtime === 'pid') return `process ${id}`;
  const name = names[0] ?? shortId(id);
  return namespace === undefined || namespace === 'default' ? name : `${name} (namespace ${namespace})`;
}

export const titleOf = (candidate: Candidate): string =>
  candidate.runtime === 'pid'
    ? `The process ${candidate.id}`
    : `The container ${printable(labelOf(candidate))} of ${candidate.runtime}`;
