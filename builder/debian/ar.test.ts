import { describe, expect, it } from 'vitest';
import { arMembers } from './ar.ts';

const member = (name: string, content: string, size = String(content.length)) =>
  `${name.padEnd(16)}${'0'.padEnd(12)}${'0'.padEnd(6)}${'0'.padEnd(6)}${'100644'.padEnd(8)}${size.padEnd(10)}\`\n${content}${content.length % 2 ? '\n' : ''}`;
const archive = (...members: string[]) => Buffer.from(`!<arch>\n${members.join('')}`);

describe('arMembers', () => {
  it('gives names and contents, odd sizes padded, names with and without a slash', () => {
    const members = arMembers(
      archive(member('debian-binary', '2.0\n'), member('data.tar.xz/', 'odd'), member('x', '')),
    );
    expect(members.map(({ name, content }) => [name, content.toString()])).toEqual([
      ['debian-binary', '2.0\n'],
      ['data.tar.xz', 'odd'],
      ['x', ''],
    ]);
  });

  it.each([
    ['not an ar archive', Buffer.from('PK\u0003\u0004 something else')],
    ['no member header at byte 8', archive('cut')],
    ['cut short', archive(member('a', 'four', '400'))],
    ['cut short', archive(member('a', 'four', '-4'))],
    ['more than 16 members', archive(...Array.from({ length: 17 }, () => member('a', 'bb')))],
  ])('refuses what is %s', (problem, bytes) => {
    expect(() => arMembers(bytes)).toThrow(problem);
  });
});
