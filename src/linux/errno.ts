import { constants } from 'node:os';
import { CrashcartError, reasons } from '../base/errors.ts';

/** `EROFS` for 30; a number the table lacks stays a number. */
export function errnoName(errno: number): string {
  for (const [name, value] of Object.entries({ ...constants.errno, ENOTBLK: 15, EREMOTE: 66, EUSERS: 87 })) {
    if (value === errno) return name;
  }
  return `errno ${errno}`;
}

/** A failed system call: `message` is the call with its operands and the errno's name, `code` is that name. */
export class SyscallError extends CrashcartError {
  readonly call: string;
  readonly errno: number;
  readonly code: string;

  constructor(call: string, operands: string, errno: number, options?: ErrorOptions) {
    const code = errnoName(errno);
    super(reasons.Internal, `${call}(${operands}): ${code}`, options);
    this.call = call;
    this.errno = errno;
    this.code = code;
  }
}

/** True for a failed call with one of these errnos; `code` of Node's own file system errors counts too. */
export function hasErrno(caught: unknown, ...codes: readonly string[]): boolean {
  return caught instanceof Error && 'code' in caught && typeof caught.code === 'string' && codes.includes(caught.code);
}
