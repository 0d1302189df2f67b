import type { KubeClient } from './client.ts';

export interface UserInfo {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/** `status` of a TokenReview, as the API server gave it. */
export interface TokenReviewStatus {
  readonly authenticated?: boolean;
  readonly error?: string;
  /** Those of the asked audiences for which the token is valid. */
  readonly audiences?: readonly string[];
  readonly user?: {
    readonly username?: string;
    readonly uid?: string;
    readonly groups?: readonly string[];
    readonly extra?: Readonly<Record<string, readonly string[]>>;
  };
}

export interface ResourceAttributes {
  readonly verb: string;
  /** '' is the core group. */
  readonly group: string;
  readonly version?: string;
  readonly resource: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
}

export interface Decision {
  readonly allowed: boolean;
  readonly reason?: string;
}

export interface Reviews {
  /** Throws when the API server cannot be asked: that is never a yes. */
  reviewToken(token: string, audiences: readonly string[], signal?: AbortSignal): Promise<TokenReviewStatus>;
  /** SubjectAccessReview. Throws when the API server cannot be asked: that is never a yes. */
  authorize(user: UserInfo, attributes: ResourceAttributes, signal?: AbortSignal): Promise<Decision>;
}

const timeoutMs = 5_000;

export function createReviews(client: Pick<KubeClient, 'request'>): Reviews {
  const ask = async (
    path: string,
    kind: string,
    spec: object,
    signal?: AbortSignal,
  ): Promise<Record<string, unknown>> => {
    const apiVersion = path.split('/').slice(2, 4).join('/');
    const review = (await client.request({
      method: 'POST',
      path,
      body: { apiVersion, kind, spec },
      timeoutMs,
      // A review changes nothing.
      idempotent: true,
      ...(signal ? { signal } : {}),
    })) as { status?: Record<string, unknown> };
    return review.status ?? {};
  };
  return {
    reviewToken: (token, audiences, signal) =>
      ask('/apis/authentication.k8s.io/v1/tokenreviews', 'TokenReview', { token, audiences }, signal),
    async authorize({ name, uid, groups, extra }, resourceAttributes, signal) {
      // Some platforms narrow a token's rights through `extra`: a review without it would say yes too often.
      const spec = { user: name, uid, groups, extra, resourceAttributes };
      const status = await ask(
        '/apis/authorization.k8s.io/v1/subjectaccessreviews',
        'SubjectAccessReview',
        spec,
        signal,
      );
      return {
        allowed: status['allowed'] === true && status['denied'] !== true,
        ...(typeof status['reason'] === 'string' ? { reason: status['reason'] } : {}),
      };
    },
  };
}
