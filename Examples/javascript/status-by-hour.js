// Requests by hour and status code, of a web server's log.
const LINE = /\[(\d\d)\/(\w{3})\/(\d{4}):(\d\d):[^\]]*\] "[^"]*" (\d{3}) /;
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

export function map(_, line, emit) {
  const match = LINE.exec(line);
  if (!match) {
    counter("log", "lines not understood");
    return;
  }
  const [, day, month, year, hour, status] = match;
  const number = String(MONTHS.indexOf(month) + 1).padStart(2, "0");
  emit(`${year}-${number}-${day} ${hour}h ${status}`, 1);
}
