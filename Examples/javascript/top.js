// The pairs with the largest values, of an earlier result: --format kv --arg n=10.
const n = Number(args.n ?? 10);

export function map(word, count, emit) {
  emit("top", `${count} ${word}`);
}

export function combine(key, lines, emit) {
  for (const line of best(lines)) emit(key, line);
}

export function reduce(_, lines, emit) {
  best(lines).forEach((line, index) => emit(String(index + 1).padStart(4, "0"), line));
}

// Holds 2n lines at most, however many there are.
function best(lines) {
  let kept = [];
  for (const line of lines) {
    kept.push(line);
    if (kept.length >= 2 * n) kept = kept.sort(byCount).slice(0, n);
  }
  return kept.sort(byCount).slice(0, n);
}

function byCount(left, right) {
  return parseInt(right) - parseInt(left) || (left < right ? -1 : 1);
}
