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
  /** The session belongs to this process, and nobody will take it over when this ends: the same as without `survival`. */
  readonly endsWithUs?: boolean;
  /** Left out: the session ends with the process that started it, whatever ended that. */
  readonly survival?: Survival;
}

export interface Survival {
  /** What the next agent needs to take the session over: JSON of at most 512 KiB. */
  readonly record: unknown;
  /** Milliseconds from now for which it may run unless `SessionProcess.renew` is called. */
  readonly leaseMs: number;
}

export interface ProcessExit {
  /** 0..255 as a shell gives it: 127, 126, 128 + signal. */
  readonly code: number;
  readonly signal?: string;
  /** True when the container ended first and took the session with it. */
  readonly containerExited?: boolean;
  /** RFC 3339; where it ended before we looked. */
  readonly at?: string;
  /** The lease was over: no agent came in time, or the session's longest time was up while there was none. */
  readonly leaseOver?: boolean;
}

/** A stretch of output on one channel. */
export interface OutputPiece {
  /** Of its first byte; later than the one asked for when what was in between is lost. */
  readonly position: number;
  /** 1 or 2, as in wire/channel.ts. */
  readonly channel: number;
  readonly payload: Buffer;
}

/** All output of a session, by position: a byte count from its start, stdout and stderr together in their order. */
export interface SessionOutput extends Disposable {
  /** Position behind the last byte that has come. */
  readonly head: number;
  /** Nothing comes any more. */
  readonly ended: boolean;
  /** At most `maxBytes` from there; undefined when there is nothing yet. */
  read(position: number, maxBytes: number): OutputPiece | undefined;
  /** As `keep` was last called, by this process or by one before it. */
  readonly kept: number | undefined;
  /** From there on nothing is written over, the command waits instead; undefined: only the newest is kept, the command never waits. */
  keep(position: number | undefined): void;
  /** Called when there is more output, room for input, or an end. The answer stops it. */
  onChange(listener: () => void): () => void;
}

/** Towards the command. What was taken is handed over once, whatever becomes of the agent. */
export interface SessionInput {
  /** False once the command has closed its input, or `end` was called. */
  readonly open: boolean;
  /** How many bytes were taken; less than all: go on after the next change. */
  write(payload: Uint8Array, sender?: InputSender): number;
  /** How many bytes of this sender were ever taken; undefined: not remembered. */
  receivedFrom(id: bigint): number | undefined;
  /** End of file, but for a terminal: there a person types Ctrl-D. */
  end(): void;
}

export interface InputSender {
  readonly id: bigint;
  /** Bytes of it that were taken before. */
  readonly received: number;
}

export interface SessionProcess {
  /** Host pid of the command. */
  readonly pid: number;
  readonly output: SessionOutput;
  /** None without a terminal when `stdin` is false. */
  readonly input?: SessionInput;
  /** For those who want streams instead of `output` and `input`; made by the first use, which takes `output.keep` over. */
  readonly stdout: Readable;
  /** None with a terminal. */
  readonly stderr?: Readable;
  /** None without a terminal when `stdin` is false. */
  readonly stdin?: Writable;
  /** A call after the end does nothing. */
  resize(size: TerminalSize): void;
  /** When a byte last went in either direction: milliseconds ago. */
  idleMs(): number;
  /** Milliseconds from now until which the session may run without an agent. */
  renew(leaseMs: number): void;
  /** A number that the next agent finds again: the session's longest duration, in ms. 0: none was noted. */
  noted: number;
  /** Somebody has attached to it, now or under an earlier agent; `visit` says so. */
  readonly visited: boolean;
  visit(): void;
  /** Settles once, never rejects. Output may still come: read it to its end. */
  readonly exited: Promise<ProcessExit>;
  /** Kills every process of the session and resolves when none is left. Safe twice. */
  end(): Promise<void>;
  /** Ends what still runs and gives everything back but the output, which is disposed of by itself; answers what could not be removed. Safe twice. */
  cleanup(): Promise<{ readonly leftovers?: string }>;
  /** Cleanup, and the output too. */
  [Symbol.asyncDispose](): Promise<void>;
}
