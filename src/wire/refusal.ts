import { CrashcartError, isReason } from '../base/errors.ts';
import type { Refusal } from './agent-protocol.ts';
import { errorOfStatus } from './status.ts';

/** The other end's message goes to a person's terminal and into an object's conditions. */
const maxMessageLength = 4096;

export const refusalOf = (error: CrashcartError): Refusal => ({
  reason: error.reason,
  message: error.message.slice(0, maxMessageLength),
});

/** The error that a refused request of the tunnel stands for; a body of another shape is told by its HTTP code alone. */
export function errorOfRefusal(body: unknown, httpCode: number): CrashcartError {
  if (typeof body === 'object' && body !== null && 'reason' in body && 'message' in body) {
    const { reason, message } = body;
    if (isReason(reason) && typeof message === 'string') {
      return new CrashcartError(reason, message.slice(0, maxMessageLength));
    }
  }
  return errorOfStatus(undefined, httpCode);
}
