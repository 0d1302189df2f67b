import { agentServiceAccount, tokenAudience } from '../api/names.ts';
import { CrashcartError, reasons } from '../base/errors.ts';
import type { TokenReviewStatus } from './kubernetes.ts';

/** Set by the API server in tokens that are bound to a pod (KEP-4193, GA in 1.32). */
const nodeNameClaim = 'authentication.kubernetes.io/node-name';

/**
 * The node whose agent sent the reviewed token. The claim is what bounds a stolen node to its own sessions, so there must be
 * exactly one, and nothing else that the agent says counts.
 * @throws CrashcartError Unauthorized, with what is wrong
 */
export function nodeOfReview(review: TokenReviewStatus, installation: string): string {
  const refuse = (why: string): CrashcartError => new CrashcartError(reasons.Unauthorized, why);
  if (review.authenticated !== true) {
    throw refuse(`the API server refused the agent's token${review.error ? `: ${review.error}` : ''}`);
  }
  // An authenticator that does not know audiences answers with none: such a token was not made for us.
  if (!review.audiences?.includes(tokenAudience))
    throw refuse(`the agent's token has not the audience ${tokenAudience}`);
  const expected = `system:serviceaccount:${installation}:${agentServiceAccount}`;
  if (review.user?.username !== expected) throw refuse(`the token is not of ${expected}`);
  const nodes = review.user.extra?.[nodeNameClaim] ?? [];
  const [node] = nodes;
  if (nodes.length !== 1 || node === undefined || node === '') {
    throw refuse('the agent’s token names no node: it must be a projected token of a pod (Kubernetes 1.32 or newer)');
  }
  return node;
}
