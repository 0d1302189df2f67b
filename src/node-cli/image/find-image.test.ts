import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { findImage } from './find-image.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'crashcart-images-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const make = (name: string): string => {
  const file = join(directory, name);
  writeFileSync(file, name);
  return file;
};

it('finds a name in the first directory that has it, under either suffix', () => {
  mkdirSync(join(directory, 'first'));
  make('tools.erofs');
  const old = make('old.img');
  const first = make('first/tools.erofs');
  const directories = [join(directory, 'none'), join(directory, 'first'), directory];
  expect(findImage('tools', directories)).toMatchObject({ name: 'tools', file: first });
  expect(findImage('old', directories)).toMatchObject({ file: old });
});

it('finds the original’s crashcart.img where there is no default', () => {
  const original = make('crashcart.img');
  expect(findImage('default', [directory]).file).toBe(original);
  const own = make('default.erofs');
  expect(findImage('default', [directory]).file).toBe(own);
});

it('takes a path as a path', () => {
  const file = make('x.erofs');
  expect(findImage(file, []).file).toBe(file);
  expect(() => findImage(join(directory, 'y.erofs'), [directory])).toThrow(/is not a file/);
  expect(() => findImage('../no-such-image-here.erofs', [directory])).toThrow(/is not a file/);
});

it('gives a changed file another key', () => {
  const file = make('x.erofs');
  const { key } = findImage(file, []);
  expect(findImage('x', [directory]).key).toBe(key);
  utimesSync(file, 1, 1);
  expect(findImage(file, []).key).not.toBe(key);
});

it('says what there is instead', () => {
  make('tools.erofs');
  expect(() => findImage('nope', [directory])).toThrow(/there is tools\): name a file with --image/);
});
