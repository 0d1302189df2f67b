import { attachSubresource, plural, subresourceApiVersion } from '../api/names.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import { parseResumeQuery, type ResumeRequest } from '../wire/resume.ts';

/** What a client asks for, by the names and defaults of pods/attach, so that any client-go program can ask. */
export interface AttachTarget {
  readonly namespace: string;
  readonly name: string;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
  /** The client may come back: wire/resume.ts. */
  readonly resume?: ResumeRequest;
  /** Ours: read along only. Nothing that the client sends reaches the session. */
  readonly observe: boolean;
}

const shape = new RegExp(
  `^/apis/${subresourceApiVersion.replaceAll('.', '\\.')}/namespaces/([^/]+)/${plural}/([^/]+)/${attachSubresource}/?$`,
);
/** RFC 1123: what the API server accepts as names of a namespace and of an object. */
const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;

/** @throws CrashcartError NotFound for every other path, Invalid for a name that cannot be one */
export function parseAttachUrl(url: string): AttachTarget {
  const [path = '', query = ''] = url.split('?', 2);
  const found = shape.exec(path);
  if (!found) throw new CrashcartError(reasons.NotFound, 'there is nothing at this path but debugsessions/attach');
  const [namespace, name] = [decoded(found[1] ?? ''), decoded(found[2] ?? '')];
  if (!label.test(namespace) || !subdomain.test(name)) {
    throw new CrashcartError(reasons.Invalid, 'the path names no namespace or no DebugSession that could exist');
  }
  const parameters = new URLSearchParams(query);
  const resume = parseResumeQuery(parameters);
  const flag = (key: string, otherwise: boolean): boolean => {
    const value = parameters.get(key);
    return value === null ? otherwise : value === 'true' || value === '1';
  };
  const observe = flag('observe', false);
  return {
    namespace,
    name,
    observe,
    stdin: !observe && flag('stdin', false),
    stdout: flag('stdout', true),
    stderr: flag('stderr', true),
    tty: flag('tty', false),
    ...(resume ? { resume } : {}),
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}
