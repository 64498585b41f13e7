// Each visitor's pages in order of time, with the seconds since the page before: "visitor seconds page" lines.
export function map(_, line, emit) {
  const [visitor, time, page] = line.split(" ");
  emit(visitor, `${time.padStart(10, "0")} ${page}`);
}

export function reduce(visitor, visits, emit) {
  let last;
  for (const visit of [...visits].sort()) {
    const [time, page] = visit.split(" ");
    emit(visitor, `${Number(time)} +${last === undefined ? 0 : time - last} ${page}`);
    last = time;
  }
}
