// Word count: how often each word occurs.
//
//     peerctl run --map wc.js TEXT…

export function map(_key, line, emit) {
  for (const word of line.split(/\s+/)) {
    if (word !== "") emit(word, 1);
  }
}

export function reduce(word, counts, emit) {
  let sum = 0;
  for (const count of counts) sum += Number(count);
  emit(word, sum);
}

export const combine = reduce;
