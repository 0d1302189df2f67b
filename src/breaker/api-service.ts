import { apiServiceName } from '../api/names.ts';
import { CrashcartError, reasons } from '../base/errors.ts';

/** As the API server has it. */
export interface ApiService {
  readonly metadata: {
    readonly uid?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly managedFields?: readonly ManagedFields[];
  };
  readonly spec: Readonly<Record<string, unknown>> & { readonly caBundle?: string };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly lastTransitionTime?: string;
      readonly message?: string;
    }[];
  };
}

interface ManagedFields {
  readonly manager?: string;
  readonly subresource?: string;
  readonly fieldsV1?: { readonly 'f:spec'?: Readonly<Record<string, unknown>> };
}

/** What is kept of a withdrawn one, to put it back as it was, in the name of whoever had made it. */
export interface Withdrawn {
  readonly manager: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: Readonly<Record<string, unknown>>;
  readonly caBundle?: string;
  /** RFC 3339. */
  readonly at: string;
}

export function withdrawnOf({ metadata, spec }: ApiService, at: string): Withdrawn {
  const { caBundle, ...rest } = spec;
  const makes = ({ subresource, fieldsV1 }: ManagedFields): boolean =>
    !subresource && fieldsV1?.['f:spec']?.['f:service'] !== undefined;
  return {
    manager: metadata.managedFields?.find(makes)?.manager ?? 'helm',
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    spec: rest,
    ...(caBundle === undefined ? {} : { caBundle }),
    at,
  };
}

/** undefined for what is none. It is put back by a policy's leave only, so what stands here can do no more than that allows. */
export function parseWithdrawn(text: string | undefined): Withdrawn | undefined {
  if (!text) return undefined;
  try {
    const found = JSON.parse(text) as Withdrawn;
    if (typeof found.spec === 'object' && typeof found.manager === 'string' && Date.parse(found.at) > 0) return found;
  } catch {
    // Told below.
  }
  throw new CrashcartError(
    reasons.Invalid,
    `the record of the withdrawn ${apiServiceName} cannot be read: put it back with "helm upgrade"`,
  );
}

/** How long the API server has found it unavailable, by its own note and by our clock; 0 when it is available. */
export function unavailableForMs({ status }: ApiService, nowMs: number): number {
  const available = status?.conditions?.find(({ type }) => type === 'Available');
  if (available?.status !== 'False') return 0;
  const since = Date.parse(available.lastTransitionTime ?? '');
  return Number.isFinite(since) ? Math.max(1, nowMs - since) : 1;
}

export const isAvailable = ({ status }: ApiService): boolean =>
  status?.conditions?.some(({ type, status: value }) => type === 'Available' && value === 'True') ?? false;
