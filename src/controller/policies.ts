/** Whether the admission policies in the API server are those of the chart: no network, no clock. */
import { CrashcartError, reasons } from '../base/errors.ts';

/** As the chart hands it over: what it put into the API server. */
export interface ExpectedPolicy {
  readonly name: string;
  /** `spec` of the ValidatingAdmissionPolicy. */
  readonly spec: Json;
  /** Of its binding. */
  readonly paramRef?: Json;
}

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** A policy or a binding. */
export interface PolicyObject {
  readonly name: string;
  readonly spec: Json;
  /** When its spec was written last, by the API server's clock in whole seconds; ms since the epoch. */
  readonly changedAtMs: number;
}

export type PolicyVerdict =
  /** `sinceMs`: nothing of them was changed after this. */
  | { readonly intact: true; readonly sinceMs: number }
  /** One sentence: what is wrong and how it is repaired. */
  | { readonly intact: false; readonly why: string };

/** @throws CrashcartError Invalid */
export function parseExpectedPolicies(text: string): readonly ExpectedPolicy[] {
  try {
    const list = JSON.parse(text) as readonly ExpectedPolicy[];
    if (list.length > 0 && list.every(({ name, spec }) => typeof name === 'string' && isObject(spec))) return list;
  } catch {
    // Told below.
  }
  throw new CrashcartError(reasons.Invalid, 'the file of --policies is not the list of policies that the chart makes');
}

interface RawObject {
  readonly metadata?: {
    readonly name?: string;
    readonly creationTimestamp?: string;
    readonly managedFields?: readonly { readonly subresource?: string; readonly time?: string }[];
  };
  readonly spec?: Json;
}

export function parsePolicyObject(value: unknown): PolicyObject {
  const { metadata = {}, spec = {} } = value as RawObject;
  // The API server itself writes the status, with what it found when it checked the types.
  const writes = (metadata.managedFields ?? []).filter(({ subresource }) => !subresource).map(({ time }) => time);
  const times = [metadata.creationTimestamp, ...writes].map((time) => Date.parse(time ?? '')).filter(Number.isFinite);
  return { name: metadata.name ?? '', spec, changedAtMs: Math.max(0, ...times) };
}

export function judgePolicies(
  expected: readonly ExpectedPolicy[],
  policies: readonly PolicyObject[],
  bindings: readonly PolicyObject[],
): PolicyVerdict {
  let sinceMs = 0;
  for (const { name, spec, paramRef } of expected) {
    const binding: Json = { policyName: name, validationActions: ['Deny'], ...(paramRef ? { paramRef } : {}) };
    for (const [kind, wanted, all] of [
      ['ValidatingAdmissionPolicy', spec, policies],
      ['ValidatingAdmissionPolicyBinding', binding, bindings],
    ] as const) {
      const found = all.find((each) => each.name === name);
      if (!found) return broken(`the ${kind} ${name} is missing`);
      if (!isSame(found.spec, wanted)) return broken(`the ${kind} ${name} is not what the chart made it`);
      sinceMs = Math.max(sinceMs, found.changedAtMs);
    }
  }
  return { intact: true, sinceMs };
}

const broken = (what: string): PolicyVerdict => ({
  intact: false,
  why: `${what}, so nobody can tell who may have a session: an administrator restores it with "helm upgrade"`,
});

/** What the API server fills in where nothing was said. */
const defaults: Readonly<Record<string, Json>> = {
  matchPolicy: 'Equivalent',
  namespaceSelector: {},
  objectSelector: {},
  scope: '*',
  failurePolicy: 'Fail',
};

/** Equal but for what the API server fills in, and for what is empty. Anything more could narrow a policy to nothing. */
function isSame(actual: Json | undefined, wanted: Json | undefined): boolean {
  if (Array.isArray(actual) && Array.isArray(wanted)) {
    return actual.length === wanted.length && actual.every((each, at) => isSame(each, wanted[at]));
  }
  if (!isObject(actual) || !isObject(wanted)) return actual === wanted;
  const keys = new Set([...Object.keys(actual), ...Object.keys(wanted)]);
  return [...keys].every((key) => {
    const [there, asked] = [actual[key], wanted[key]];
    if (asked === undefined) return isEmpty(there) || isSame(there, matchResources(key) ?? defaults[key]);
    return isSame(there, asked);
  });
}

/** A binding that says nothing of resources may come back with the defaults spelled out. */
const matchResources = (key: string): Json | undefined => (key === 'matchResources' ? {} : undefined);

const isObject = (value: unknown): value is { readonly [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isEmpty = (value: Json | undefined): boolean =>
  value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);
