import { CrashcartError, reasons } from '../base/errors.ts';
import { printable } from '../base/text.ts';
import { errorOfStatus } from '../wire/status.ts';

/** An answer that is not 2xx, from the API server, the gateway behind it or a proxy before it. The message is safe to print. */
export class ApiRefusal extends CrashcartError {
  readonly code: number;
  /** What the Status is about, as `namespaces` or `debugsessions`. */
  readonly kind: string | undefined;

  constructor(body: string, code: number) {
    const error = errorOfStatus(body, code);
    super(error.reason, oneLine(error.message));
    this.code = code;
    this.kind = kindOf(body);
  }
}

/** What was asked for, for the sentence about its refusal. */
export interface Request {
  readonly verb: 'create' | 'get' | 'list' | 'delete' | 'attach';
  /** Plural, as in a Role: `debugsessions`, `pods`. */
  readonly resource: string;
  readonly namespace: string;
  readonly name?: string;
}

/** One sentence for a person: the cause, then the next step. Errors that are not refusals already are such sentences. */
export function explain(caught: unknown, asked: Request): CrashcartError {
  if (!(caught instanceof ApiRefusal)) return CrashcartError.from(caught);
  const sentence = sentenceOf(caught, asked);
  return sentence === undefined ? caught : new CrashcartError(caught.reason, sentence, { cause: caught });
}

function sentenceOf(refusal: ApiRefusal, asked: Request): string | undefined {
  switch (refusal.code) {
    case 401:
      return 'the API server does not know who you are: log in again, then see "kubectl auth whoami"';
    case 403:
      return forbidden(refusal.message, asked);
    case 404:
      return missing(refusal, asked);
    case 409:
      return asked.verb === 'create' ? `${refusal.message}: try again` : undefined;
    case 503:
      return asked.verb === 'attach' && refusal.reason === reasons.Unavailable
        ? `the attach service of Crashcart is not available (${refusal.message}): see "kubectl get apiservice v1alpha1.subresources.crashcart.dev"`
        : undefined;
    default:
      return undefined;
  }
}

export const installHint =
  'Crashcart is not installed in this cluster: "helm install crashcart charts/crashcart -n crashcart-system --create-namespace" does it';

function missing(refusal: ApiRefusal, { verb, resource, namespace, name }: Request): string {
  if (refusal.kind === 'namespaces' || /^namespaces "/.test(refusal.message)) {
    return `there is no namespace "${namespace}": see "kubectl get namespaces"`;
  }
  if (/could not find the requested resource|page not found/.test(refusal.message)) {
    return isOurs(resource) ? installHint : `this API server has no ${resource}`;
  }
  if (isOurs(resource) && name !== undefined) {
    return `there is no session "${name}" in namespace "${namespace}": see "kubectl crashcart ls -A"`;
  }
  return name === undefined || verb === 'list'
    ? refusal.message
    : `there is no ${resource} "${name}" in namespace "${namespace}": see "kubectl get ${resource} -n ${namespace}"`;
}

/**
 * RBAC says which right was missing; an admission policy says it in its own words behind a long prefix. Both end with whom to
 * ask and for what.
 */
function forbidden(message: string, asked: Request): string {
  const denied = /denied request: (.*)$/.exec(message)?.[1];
  const resource = asked.verb === 'attach' ? 'debugsessions/attach' : asked.resource;
  const verb = asked.verb === 'attach' ? 'create' : asked.verb;
  const cause = denied ?? message.replace(/^\S+ "[^"]*" is forbidden: /, '');
  const right = denied ? 'that right' : `the right to ${verb} ${resource} in namespace "${asked.namespace}"`;
  const check = denied
    ? ''
    : `; "kubectl auth can-i ${verb} ${canI(resource)} -n ${asked.namespace}" shows when you have it`;
  return `not allowed: ${cause.replace(/\.$/, '')}. Ask an administrator of the cluster for ${right}${check}`;
}

function canI(resource: string): string {
  if (resource === 'debugsessions/attach') return 'debugsessions.subresources.crashcart.dev --subresource=attach';
  return isOurs(resource) ? `${resource}.crashcart.dev` : resource;
}

const isOurs = (resource: string): boolean => resource.startsWith('debugsessions');

const oneLine = (text: string): string => printable(text.trim().replace(/\s*\n\s*/g, ' ')).slice(0, 2_000);

function kindOf(body: string): string | undefined {
  try {
    const { details } = JSON.parse(body) as { details?: { kind?: unknown } };
    return typeof details?.kind === 'string' ? details.kind : undefined;
  } catch {
    return undefined;
  }
}
