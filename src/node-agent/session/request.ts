import type { Readable, Writable } from 'node:stream';
import type { Visibility } from '../../api/debug-session.ts';
import type { ProfileRules } from '../../api/profile-rules.ts';
import type { ResourceLimit } from '../../linux/rlimits.ts';
import type { SeccompFilter } from '../../linux/seccomp/filter.ts';

/** What entering needs to know of a container: a part of the Target and RuntimeSpec in ../target. */
export interface ProcessTarget {
  /** Host pid of the container's first process, and the descriptor that pins it; the caller owns the descriptor. */
  readonly pid: number;
  readonly pidfd: number;
  readonly containerId: string;
  readonly spec: TargetSpec;
}

export interface TargetSpec {
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] };
  readonly capabilities: Readonly<Record<'bounding' | 'ambient', readonly string[]>>;
  readonly noNewPrivileges: boolean;
  readonly seccomp?: SeccompFilter;
  readonly rlimits?: readonly ResourceLimit[];
  readonly apparmorProfile?: string;
  readonly selinuxLabel?: string;
  readonly cgroupsPath: string;
  readonly env: readonly string[];
  readonly cwd: string;
}

export interface TerminalSize {
  /** Columns and rows. */
  readonly width: number;
  readonly height: number;
}

export interface ProcessRequest {
  /** Names the session's cgroup. */
  readonly uid: string;
  readonly target: ProcessTarget;
  readonly toolbox: string;
  /** For messages; `rules` decide. */
  readonly profile: string;
  readonly rules: ProfileRules;
  /** Looked up on the session's PATH; left out: an interactive bash. */
  readonly command?: readonly string[];
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly visibility: Visibility;
  readonly user?: { readonly uid?: number; readonly gid?: number };
  /** The whole environment but PATH, which is built here: toolbox bin, sbin, then the container's PATH. */
  readonly env: Readonly<Record<string, string>>;
  readonly size?: TerminalSize;
  /** The session belongs to this process, and nobody will take it over when this ends. */
  readonly endsWithUs?: boolean;
}

export interface ProcessExit {
  /** 0..255 as a shell gives it: 127, 126, 128 + signal. */
  readonly code: number;
  readonly signal?: string;
  /** True when the container ended first and took the session with it. */
  readonly containerExited?: boolean;
}

export interface SessionProcess {
  /** Host pid of the command. */
  readonly pid: number;
  /** Terminal output, or the standard output of a command without one. Ends by itself; never errors with EIO. */
  readonly stdout: Readable;
  /** None with a terminal. */
  readonly stderr?: Readable;
  /** None without a terminal when `stdin` is false. Ending it is end of file, but for a terminal: there a client types Ctrl-D. */
  readonly stdin?: Writable;
  /** A call after the end does nothing. */
  resize(size: TerminalSize): void;
  /** Settles once, never rejects. Output may still be in the streams: read them to their end. */
  readonly exited: Promise<ProcessExit>;
  /** Kills every process of the session and resolves when none is left. Safe twice. */
  end(): Promise<void>;
  /** Ends what still runs and gives everything back; answers what could not be removed. Safe twice. */
  cleanup(): Promise<{ readonly leftovers?: string }>;
  [Symbol.asyncDispose](): Promise<void>;
}
