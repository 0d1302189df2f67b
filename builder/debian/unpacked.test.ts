import { describe, expect, it } from 'vitest';
import { whatisOf } from './unpacked.ts';

describe('whatisOf', () => {
  it.each([
    ['.TH X 1\n.SH NAME\nthing \\- do a thing\n.SH SYNOPSIS\nthing\n', 'do a thing'],
    ['.SH "NAME"\n\\fBthing\\fR, other \\(em it\\(aqs one\n.SH X\n', "it's one"],
    ['.Sh NAME\n.Nm thing ,\n.Nm other\n.Nd a thing of BSD\n.Sh SYNOPSIS\n', 'a thing of BSD'],
    ['.SH NAME\n.\\" a comment\nthing \\- ends with a full stop.\n', 'ends with a full stop'],
  ])('reads %j', (page, words) => {
    expect(whatisOf(page)).toBe(words);
  });

  it('says nothing when a page does not', () => {
    expect(whatisOf('.so man1/other.1\n')).toBeUndefined();
    expect(whatisOf('.SH NAME\nthing\n.SH X\n')).toBeUndefined();
  });
});
