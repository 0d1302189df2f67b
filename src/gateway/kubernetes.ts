/** What the gateway needs of Kubernetes, as small as it can be: src/kube implements it, a test brings a double of its own. */
import type { DebugAttachment } from '../api/debug-attachment.ts';
import type { DebugSession } from '../api/debug-session.ts';

export interface UserInfo {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

export interface ResourceAttributes {
  readonly verb: string;
  /** '' is the core group. */
  readonly group: string;
  readonly version?: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace: string;
  readonly name: string;
}

export interface Verdict {
  readonly allowed: boolean;
  /** The authorizer's own words, where it has some. */
  readonly reason?: string;
}

/** `status` of a TokenReview, as the API server gave it. */
export interface TokenReviewStatus {
  readonly authenticated?: boolean;
  readonly error?: string;
  readonly audiences?: readonly string[];
  readonly user?: {
    readonly username?: string;
    readonly uid?: string;
    readonly groups?: readonly string[];
    readonly extra?: Readonly<Record<string, readonly string[]>>;
  };
}

export interface Reviews {
  /** A TokenReview. Rejects when the API server cannot be asked; a token that is refused is an answer, not an error. */
  reviewToken(token: string, audiences: readonly string[]): Promise<TokenReviewStatus>;
  /** A SubjectAccessReview with uid, groups and extra. Rejects when the API server cannot be asked. */
  authorize(user: UserInfo, attributes: ResourceAttributes): Promise<Verdict>;
}

export interface SessionCache {
  /** False: it is cut off from the API server, and a session that is not here may be there all the same. */
  readonly live: boolean;
  get(namespace: string, name: string): DebugSession | undefined;
  /**
   * Resolves with the session as soon as it is in the cache and `predicate` holds (at once, if it does already); undefined when
   * that did not happen within `timeoutMs`, or when the session was deleted meanwhile. Never rejects.
   */
  waitFor(
    namespace: string,
    name: string,
    predicate: (session: DebugSession) => boolean,
    timeoutMs: number,
  ): Promise<DebugSession | undefined>;
}

export interface Tickets {
  /** Undefined: there is none. Rejects when the API server cannot be asked. */
  get(namespace: string, name: string): Promise<DebugAttachment | undefined>;
  /** Whether it was this call that took it away: a ticket opens one connection, whichever replica is asked. */
  take(ticket: Pick<DebugAttachment, 'namespace' | 'name' | 'uid'>): Promise<boolean>;
}
