import { expect, test } from 'vitest';
import { inRegistry } from './install.ts';

test('an image keeps its name and tag in another registry', () => {
  expect(inRegistry('localhost/crashcart:0.1.0-ab', 'registry.example/team/')).toBe(
    'registry.example/team/crashcart:0.1.0-ab',
  );
  expect(inRegistry('localhost/crashcart:0.1.0-ab', undefined)).toBe('localhost/crashcart:0.1.0-ab');
});
