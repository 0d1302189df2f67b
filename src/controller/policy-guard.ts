import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../base/log.ts';
import type { KubeClient } from '../kube/client.ts';
import { resourcePath } from '../kube/paths.ts';
import { Reflector } from '../kube/reflector.ts';
import {
  type ExpectedPolicy,
  judgePolicies,
  type PolicyObject,
  type PolicyVerdict,
  parsePolicyObject,
} from './policies.ts';

const apiVersion = 'admissionregistration.k8s.io/v1';
/** An altered label hides an object from us as well as its deletion would: either way nothing is started. */
const query = { labelSelector: 'app.kubernetes.io/part-of=crashcart' };

/**
 * Watches the admission policies that this installation relies on. While one of them is missing, or is not what the chart made it, who has asked for
 * a session is no more than a claim: then nothing is started.
 */
export class PolicyGuard {
  readonly #expected: readonly ExpectedPolicy[];
  readonly #policies: Reflector<PolicyObject>;
  readonly #bindings: Reflector<PolicyObject>;
  readonly #log: Logger;
  readonly #listeners = new Set<() => void>();
  #synced = false;
  #verdict: PolicyVerdict = {
    intact: false,
    why: 'the admission policies were not read yet: see the log of the controller',
  };

  constructor(client: KubeClient, expected: readonly ExpectedPolicy[], log: Logger) {
    this.#expected = expected;
    this.#log = log;
    const reflector = (plural: string): Reflector<PolicyObject> =>
      new Reflector({ client, path: resourcePath(apiVersion, plural), query, parse: parsePolicyObject, log });
    this.#policies = reflector('validatingadmissionpolicies');
    this.#bindings = reflector('validatingadmissionpolicybindings');
    for (const each of [this.#policies, this.#bindings]) each.onChange(() => this.#judge());
  }

  get verdict(): PolicyVerdict {
    return this.#verdict;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async run(signal: AbortSignal): Promise<void> {
    const running = [this.#policies.run(signal), this.#bindings.run(signal)];
    const aborted = sleep(2 ** 31 - 1, undefined, { signal, ref: false }).catch(() => undefined);
    await Promise.race([Promise.all([this.#policies.synced, this.#bindings.synced]), aborted]);
    this.#synced = true;
    this.#judge();
    await Promise.all(running);
  }

  #judge(): void {
    if (!this.#synced) return;
    const before = this.#verdict;
    this.#verdict = judgePolicies(this.#expected, [...this.#policies.values()], [...this.#bindings.values()]);
    const { verdict } = this;
    if (verdict.intact) {
      if (!before.intact) this.#log.info('admission policies in order');
    } else if (before.intact || before.why !== verdict.why) {
      this.#log.error('no session is started: the admission policies are not in order', { why: verdict.why });
    }
    for (const listener of [...this.#listeners]) listener();
  }
}
