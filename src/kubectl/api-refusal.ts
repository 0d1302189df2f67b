import { apiServiceName, recordingSubresource } from '../api/names.ts';
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
    // A proxy, or an API server that has no such path, answers in plain text.
    super(error.reason, oneLine(isJson(body) ? error.message : `HTTP ${code}: ${body.slice(0, 200)}`));
    this.code = code;
    this.kind = kindOf(body);
  }
}

/** Whether it is a refusal with this HTTP status. */
export const isCode = (caught: unknown, code: number): caught is ApiRefusal =>
  caught instanceof ApiRefusal && caught.code === code;

/** What was asked for, for the sentence about its refusal. */
export interface Request {
  readonly verb: 'create' | 'get' | 'list' | 'patch' | 'delete' | 'attach';
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

/** Reasons that the API server itself gives: they are about the request. All others are the session's own, and finished sentences. */
const aboutRequest: ReadonlySet<string> = new Set<string>([
  reasons.Forbidden,
  reasons.Unauthorized,
  reasons.NotFound,
  reasons.Invalid,
  reasons.Unavailable,
  reasons.Timeout,
  reasons.Internal,
]);
export const isAboutRequest = (reason: string): boolean => aboutRequest.has(reason);

function sentenceOf(refusal: ApiRefusal, asked: Request): string | undefined {
  if (!isAboutRequest(refusal.reason)) return undefined;
  switch (refusal.code) {
    case 400:
      return /strict decoding error/.test(refusal.message)
        ? `the Crashcart of this cluster does not know all of what was asked (${refusal.message}): compare "kubectl crashcart version"`
        : undefined;
    case 401:
      return 'the API server does not know who you are: log in again, then see "kubectl auth whoami"';
    case 403:
      return forbidden(refusal.message, asked);
    case 404:
      return missing(refusal, asked);
    case 409:
      return asked.verb === 'create' ? `${refusal.message}: try again` : undefined;
    case 422:
      return `the cluster does not take this session: ${refusal.message.replace(/^\S+ "[^"]*" is invalid: /, '')}`;
    case 503:
      return asked.verb === 'attach'
        ? `the attach service of Crashcart is not available (${refusal.message}): ${seeService}`
        : undefined;
    default:
      return undefined;
  }
}

export const installHint =
  'Crashcart is not installed in this cluster: "helm install crashcart charts/crashcart -n crashcart-system --create-namespace" does it';

const seeService = `see "kubectl get apiservice ${apiServiceName}"`;

/** There is no such group, version or resource in this API server, which is another thing than no such object. */
export const isNoSuchApi = (caught: unknown): boolean =>
  isCode(caught, 404) && /could not find the requested resource|page not found/.test(caught.message);

function missing(refusal: ApiRefusal, { verb, resource, namespace, name }: Request): string {
  if (refusal.kind === 'namespaces' || /^namespaces "/.test(refusal.message)) {
    return `there is no namespace "${namespace}": see "kubectl get namespaces"`;
  }
  if (isNoSuchApi(refusal)) {
    if (verb === 'attach') return `the attach service of Crashcart is not there: ${seeService}`;
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
 * The admission policy and the gateway say in their own words what is missing and how one gets it. RBAC says only what is
 * missing: the role that has it is named here.
 */
function forbidden(message: string, { verb, resource, namespace }: Request): string {
  const said = message
    .replace(/^\S+( "[^"]*")? is forbidden: /, '')
    .replace(/^ValidatingAdmissionPolicy .* denied request: /, '');
  const [, user] = /^User "([^"]*)" cannot /.exec(said) ?? [];
  if (user === undefined) return `not allowed: ${said}`;
  const role = resource.endsWith(`/${recordingSubresource}`) ? 'crashcart-auditor' : 'crashcart-user';
  const right = isOurs(resource)
    ? `the role ${role}: kubectl create rolebinding ${role} -n ${namespace} --clusterrole=${role} --user=${quoted(user)}`
    : `the right to ${verb} ${resource} in namespace ${namespace}`;
  return `not allowed: ${said}; ask an administrator for ${right}`;
}

/** For a POSIX shell: the administrator will paste it. */
const quoted = (text: string): string => (/^[\w@.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

const isOurs = (resource: string): boolean => /^debug(sessions|attachments)/.test(resource);

const oneLine = (text: string): string => printable(text.trim().replace(/\s*\n\s*/g, ' ')).slice(0, 2_000);

const isJson = (body: string): boolean => body.trimStart().startsWith('{');

function kindOf(body: string): string | undefined {
  try {
    const { details } = JSON.parse(body) as { details?: { kind?: unknown } };
    return typeof details?.kind === 'string' ? details.kind : undefined;
  } catch {
    return undefined;
  }
}
