/**
 * What travels through the tunnel. The agent dials a gateway and then *serves* HTTP/2 on that connection (decision D1); these
 * are its resources. Bodies are JSON except for the attach stream, which carries frames (frames.ts). A refusal is a 4xx/5xx with a `Refusal`.
 *
 *   GET    /v1/identity               → Identity                    the first request on every tunnel
 *   GET    /v1/sessions               → NDJSON of SessionEvent      a full list first, then every change; never ends by itself
 *   PUT    /v1/sessions/UID           DesiredSession → ObservedSession   idempotent; answers as soon as it is accepted
 *   DELETE /v1/sessions/UID?reason=R  → ObservedSession             idempotent; answers when the teardown is proven (cleanedUp)
 *   POST   /v1/sessions/UID/attach?stdin=&stdout=&stderr=&tty=&observe=[&resume=&client=&turn=]  frames both ways; 200 once the command runs (the agent holds
 *                                                                  the answer while it prepares), else a Refusal
 *   GET    /v1/recordings             → StoredRecordings            those that are finished and still on the node
 *   GET    /v1/recordings/UID?from=N&limit=M  → bytes of the file, of one being written too; the header says how many there are
 *   DELETE /v1/recordings/UID?sha256=S → {}                         idempotent; a file with another checksum is kept (Invalid)
 */

import type { RecordingFailure } from '../api/debug-profile.ts';
import type { AttachedClient, Visibility } from '../api/debug-session.ts';
import type { ProfileRules } from '../api/profile-rules.ts';
import type { Reason } from '../base/errors.ts';

export const paths = {
  identity: '/v1/identity',
  sessions: '/v1/sessions',
  session: (uid: string): string => `/v1/sessions/${uid}`,
  attach: (uid: string): string => `/v1/sessions/${uid}/attach`,
  recordings: '/v1/recordings',
  recording: (uid: string): string => `/v1/recordings/${uid}`,
} as const;

/** Request header on attach and PUT: the API server's audit id, for the agent's log and the shell's CRASHCART_AUDIT_ID. */
export const auditIdHeader = 'x-crashcart-audit-id';
/** Request header on attach: who attaches, for people: the log, notices, `ObservedClient` (never for a decision). */
export const userHeader = 'x-crashcart-user';

/** Header of the answer to an attach, agent's and gateway's alike: the session is recorded. The person is told. */
export const recordedHeader = 'x-crashcart-recorded';
/** Response header on GET of a recording: the length of the whole file so far. */
export const recordingLengthHeader = 'x-crashcart-recording-length';

export interface Identity {
  /** Projected ServiceAccount token with our audience; reviewed by the gateway, which takes the node name from it. */
  readonly token: string;
  readonly version: string;
  /** New at every start of the agent. It says nothing about sessions: an agent takes over those of the one before it. */
  readonly instance: string;
}

export interface DesiredSession {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly pod: { readonly name: string; readonly uid: string };
  /** `id` as in the pod's status, with its scheme: `containerd://…`. */
  readonly container: { readonly name: string; readonly id: string };
  readonly toolbox: string;
  /** For people: the log, messages, the session's own environment. What it allows stands in `rules`. */
  readonly profile: string;
  readonly rules: ProfileRules;
  /** Left out: the default shell. */
  readonly command?: readonly string[];
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly visibility: Visibility;
  readonly user?: { readonly uid?: number; readonly gid?: number };
  /** Counted by the agent from the start of the command; it ends the session by itself, whether a controller lives or not. */
  readonly maxDurationMs: number;
  readonly idleTimeoutMs: number;
  /** Left out: the session is not recorded. */
  readonly recording?: RecordingOrder;
  /** Left out: nobody has to be attached. */
  readonly detachGraceMs?: number;
  /** The leader's seal that the session is this node's (gateway/placements.ts); the agent shows it with the session and cannot read it. */
  readonly placement?: string;
}

export interface RecordingOrder {
  readonly failure: RecordingFailure;
  /** For the recording's header: who created the session, and why. */
  readonly user?: string;
  readonly reason?: string;
}

export const recordingStates = ['Recording', 'Complete', 'Incomplete'] as const;
/** Incomplete: it stopped before the session did, or never began; `message` says why. */
export type RecordingState = (typeof recordingStates)[number];

export interface ObservedRecording {
  readonly state: RecordingState;
  readonly bytes: number;
  /** Hex, of the whole file; once nothing is written any more. */
  readonly sha256?: string;
  readonly message?: string;
}

/** A finished recording on a node. */
export interface StoredRecording {
  readonly uid: string;
  readonly namespace: string;
  readonly session: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly complete: boolean;
}

/** `user` is printable, `since` RFC 3339 in whole seconds; at most one is the writer. */
export type ObservedClient = AttachedClient;

export type ObservedPhase = 'Preparing' | 'Running' | 'Finished' | 'Failed';

export interface ObservedExit {
  readonly code: number;
  readonly signal?: string;
  readonly reason: Reason;
  /** RFC 3339. */
  readonly at: string;
}

export interface ObservedSession {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  readonly phase: ObservedPhase;
  /** RFC 3339; set once the command runs. */
  readonly startedAt?: string;
  /** Failed: why, as a sentence for a person. */
  readonly failure?: { readonly reason: Reason; readonly message: string };
  readonly exit?: ObservedExit;
  readonly attached: number;
  /** The same, by name: the writer first. */
  readonly clients?: readonly ObservedClient[];
  readonly recording?: ObservedRecording;
  /** As it was told last: `PUT` again with another one extends the session. */
  readonly maxDurationMs?: number;
  /** As they came with the order. */
  readonly placement?: string;
  readonly podUid?: string;
  /** True once nothing of it is left on the node: proven, not assumed. */
  readonly cleanedUp: boolean;
  /** What the teardown could not remove, when it could not. */
  readonly leftovers?: string;
}

export type SessionEvent =
  | { readonly type: 'list'; readonly sessions: readonly ObservedSession[] }
  | { readonly type: 'changed'; readonly session: ObservedSession }
  | { readonly type: 'forgotten'; readonly uid: string };

export interface Refusal {
  readonly reason: Reason;
  readonly message: string;
}

/** Bounds, the same on both ends. */
export const limits = {
  bodyBytes: 256 * 1024,
  eventLineBytes: 4 * 1024 * 1024,
  sessionsPerAgent: 256,
  clientsPerSession: 16,
  /** Of a client's name. */
  userLength: 256,
  placementLength: 64,
  /** Payload of one frame, and so of one WebSocket message: with its header it is one DATA frame of the tunnel (64 KiB). */
  framePayloadBytes: 60 * 1024,
  /** What one answer of GET /v1/recordings lists: the oldest first, the others when these are gone. */
  recordings: 512,
} as const;
