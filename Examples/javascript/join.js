// Joins users.csv (id,name) with orders.csv (id,amount) on the id.
export function map(key, line, emit) {
  const comma = line.indexOf(",");
  const kind = key.includes("users") ? "U" : "O";
  emit(line.slice(0, comma), kind + line.slice(comma + 1));
}

// Values come in the order of the inputs: with users.csv first, a user's name comes before the orders.
export function reduce(id, rows, emit) {
  let name = "unknown";
  for (const row of rows) {
    if (row[0] === "U") name = row.slice(1);
    else emit(id, `${name},${row.slice(1)}`);
  }
}
