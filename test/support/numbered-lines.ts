/** A command line that says so many numbered lines, ten a second, and then "all said": the words for that are not in it, so that its own echo is not taken for them. */
export const sayLines = (count: number): string =>
  `for i in $(seq 1 ${count}); do echo "line $i."; sleep 0.1; done; printf 'all %s\\n' said`;

/** The numbers of the lines that were shown, in their order. */
export const linesShown = (text: string): readonly number[] =>
  [...text.matchAll(/line (\d+)\./g)].map(([, line]) => Number(line));

/** What is to be shown when none is lost or doubled. */
export const allLines = (count: number): readonly number[] => Array.from({ length: count }, (_, at) => at + 1);
