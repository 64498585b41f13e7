// Word count: how often each word occurs.
//
//     peerctl run --map wc.js TEXT…

// One character a byte: words of any encoding stay as they are, and are those of the built-in wc.
export const encoding = "latin1";

export function map(_key, line, emit) {
  for (const word of line.split(/[ \t\r\v\f]+/)) {
    if (word !== "") emit(word, 1);
  }
}

export function reduce(word, counts, emit) {
  let sum = 0;
  for (const count of counts) sum += Number(count);
  emit(word, sum);
}

export const combine = reduce;
