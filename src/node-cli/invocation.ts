import type { ProfileName } from '../api/debug-session.ts';
import type { Logger } from '../base/log.ts';
import type { Host } from './host.ts';
import type { RuntimeChoice } from './runtimes/choice.ts';
import type { User } from './session/request.ts';

/** A command line, understood. */
export interface Invocation {
  readonly host: Host;
  readonly log: Logger;
  /** Empty where a verb needs none. */
  readonly id: string;
  readonly command: readonly string[];
  readonly image: string;
  readonly imageGiven: boolean;
  readonly profile: ProfileName;
  readonly capabilities: readonly string[];
  readonly user?: User;
  /** As it was typed. */
  readonly userText?: string;
  readonly private: boolean;
  readonly print: boolean;
  readonly json: boolean;
  /** Empty: all that are there. */
  readonly runtimes: readonly RuntimeChoice[];
}
