import type { TargetSpec } from '../../node-agent/session/request.ts';
import type { runtimeNames } from '../command-table.ts';

export type RuntimeName = (typeof runtimeNames)[number];

/** A container as a runtime lists it. */
export interface Candidate {
  readonly runtime: RuntimeName;
  readonly id: string;
  readonly names: readonly string[];
  /** Kubernetes' or podman's. */
  readonly pod?: {
    readonly id?: string;
    readonly namespace?: string;
    readonly name: string;
    readonly container: string;
  };
  /** containerd's. */
  readonly namespace?: string;
  /** In the runtime's own words. */
  readonly state: string;
  readonly running: boolean;
}

/** What entering needs to know; undefined fields are read from the process itself. */
export interface Described {
  /** As this process counts pids; 0: none. */
  readonly pid: number;
  readonly spec: TargetSpec;
  /** The shim and the OCI runtime, for recognising sandboxes. */
  readonly runtimeType?: string;
  readonly runtimeBinary?: string;
}

export interface ExecRequest {
  readonly command: readonly string[];
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly user?: string;
}

/** One container runtime of this node. All calls reject with RuntimeUnavailable when it does not answer within seconds. */
export interface Runtime extends Disposable {
  readonly name: RuntimeName;
  /** Its socket or program, for people. */
  readonly where: string;
  version(): Promise<string>;
  list(): Promise<readonly Candidate[]>;
  /** Undefined: it knows no such container (any more). */
  describe(candidate: Candidate): Promise<Described | undefined>;
  /** The command line that runs a command through the runtime's own exec. */
  exec(candidate: Candidate, request: ExecRequest): readonly string[];
}
