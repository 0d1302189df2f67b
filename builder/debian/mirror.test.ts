import { describe, expect, it } from 'vitest';
import { findMirror, urisOfDeb822, urisOfList } from './mirror.ts';

describe('the mirror', () => {
  it('is read from deb822 sources, but for disabled and source-only ones', () => {
    const text = `Types: deb deb-src\nURIs: http://one.example/debian http://two.example/debian/\nSuites: a

# a comment
Types: deb\nEnabled: no\nURIs: http://off.example/debian

Types: deb-src\nURIs: http://src.example/debian\n`;
    expect(urisOfDeb822(text)).toEqual(['http://one.example/debian', 'http://two.example/debian/']);
  });

  it('is read from one-line sources, with and without options', () => {
    const text =
      '# deb http://no.example/debian x\ndeb [arch=amd64 signed-by=/k] http://a.example/debian x main\n deb http://b.example/debian x\ndeb-src http://c.example x\n';
    expect(urisOfList(text)).toEqual(['http://a.example/debian', 'http://b.example/debian']);
  });

  it('is DEBIAN_MIRROR when that is set, without a slash at the end', () => {
    expect(findMirror({ DEBIAN_MIRROR: 'https://mirror.example/anything//' })).toBe('https://mirror.example/anything');
  });

  it('is not something that cannot be fetched from', () => {
    expect(() => findMirror({ DEBIAN_MIRROR: 'file:///srv' })).toThrow('not an http or https address');
  });
});
