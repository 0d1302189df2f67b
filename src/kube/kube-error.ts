import { CrashcartError, type Reason, reasons } from '../base/errors.ts';

const reasonOfCode: Readonly<Record<number, Reason>> = {
  400: reasons.Invalid,
  401: reasons.Unauthorized,
  403: reasons.Forbidden,
  404: reasons.NotFound,
  409: reasons.Invalid,
  422: reasons.Invalid,
  504: reasons.Timeout,
};

/** An answer of the API server other than 2xx. */
export class KubeError extends CrashcartError {
  /** HTTP status code. */
  readonly code: number;
  /** `reason` of the Status: `AlreadyExists`, `Conflict`, `Expired` …; empty when the answer was no Status. */
  readonly kubeReason: string;
  readonly retryAfterMs: number | undefined;

  constructor(code: number, kubeReason: string, message: string, retryAfterMs?: number) {
    super(reasonOfCode[code] ?? reasons.Unavailable, message);
    this.code = code;
    this.kubeReason = kubeReason;
    this.retryAfterMs = retryAfterMs;
  }
}

export const isCode = (caught: unknown, code: number): caught is KubeError =>
  caught instanceof KubeError && caught.code === code;

/** 410: the resource version or the continue token is older than what the server still has. */
export const isExpired = (caught: unknown): boolean => isCode(caught, 410);

/** The error for an answer of `code`, from its body if that is a Status. */
export function errorOfAnswer(code: number, body: string, retryAfter?: string): KubeError {
  const status = parseStatus(body);
  const seconds = Number(retryAfter ?? status.retryAfterSeconds);
  return new KubeError(
    code,
    status.reason,
    status.message || `the API server answered ${code}${body ? `: ${body.slice(0, 200)}` : ''}`,
    Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : undefined,
  );
}

function parseStatus(body: string): { reason: string; message: string; retryAfterSeconds?: unknown } {
  try {
    const { kind, reason, message, details } = JSON.parse(body) as Record<string, unknown>;
    if (kind === 'Status') {
      return {
        reason: typeof reason === 'string' ? reason : '',
        message: typeof message === 'string' ? message : '',
        retryAfterSeconds: (details as { retryAfterSeconds?: unknown } | undefined)?.retryAfterSeconds,
      };
    }
  } catch {
    // A proxy or a load balancer in front of the API server answers in its own words.
  }
  return { reason: '', message: '' };
}
