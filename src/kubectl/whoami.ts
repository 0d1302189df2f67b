import type { Ticketholder } from '../api/debug-attachment.ts';
import type { ApiClient } from './api-client.ts';

/** What `kubectl auth whoami` asks: who the API server takes us for, impersonation included. */
export async function whoAmI(api: ApiClient): Promise<Ticketholder> {
  const review = (await api.send({
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/selfsubjectreviews',
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
  })) as { status?: { userInfo?: Partial<Ticketholder> } };
  const { username = '', uid, groups = [], extra = {} } = review.status?.userInfo ?? {};
  return { username, ...(uid ? { uid } : {}), groups, extra };
}
