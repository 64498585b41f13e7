// Lines that match --arg pattern=…, with their places.
let pattern;

export function setup(args) {
  if (!args.pattern) throw new Error("give a pattern: --arg pattern=…");
  pattern = new RegExp(args.pattern, args.flags ?? "");
}

export function map(key, line, emit) {
  if (pattern.test(line)) emit(key, line);
}
