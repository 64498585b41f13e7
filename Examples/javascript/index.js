// For each word the inputs that it occurs in.
export function map(key, line, emit) {
  const input = key.slice(0, key.lastIndexOf(":"));
  for (const word of line.toLowerCase().match(/[a-z]+/g) ?? []) emit(word, input);
}

export function combine(word, inputs, emit) {
  for (const input of new Set(inputs)) emit(word, input);
}

export function reduce(word, inputs, emit) {
  emit(word, [...new Set(inputs)].sort().join(" "));
}
