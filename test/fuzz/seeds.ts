/** Seeds that found something once, by the name of their target: every run tries them first. */
export const seeds: Readonly<Record<string, readonly number[]>> = {};
