import type { Reason } from '../base/errors.ts';

/** What the gateway counts. The controller's metrics implement it; nothing here knows of a registry. */
export interface GatewayMetrics {
  attachStarted(): void;
  /** `seconds` from the 101 to the end. */
  attachEnded(seconds: number): void;
  /** From the request to the 101: the checks, the wait for a node, the agent's answer. */
  attachReady(seconds: number): void;
  /** An attach was answered with something else than 101. */
  attachRefused(reason: Reason): void;
  tunnelOpened(): void;
  tunnelClosed(): void;
  /** A connection to the tunnel port that did not prove to be an agent. */
  tunnelRefused(reason: Reason): void;
  /** A SubjectAccessReview. */
  reviewed(outcome: 'allowed' | 'denied' | 'error', seconds: number): void;
  /** Payload of attached sessions; `in` is towards the container. */
  bytes(direction: 'in' | 'out', count: number): void;
}

export const noMetrics: GatewayMetrics = {
  attachStarted() {},
  attachEnded() {},
  attachReady() {},
  attachRefused() {},
  tunnelOpened() {},
  tunnelClosed() {},
  tunnelRefused() {},
  reviewed() {},
  bytes() {},
};
