// Runs the map, combine and reduce of a function's file over a text in Node, as a programmer would without a cluster:
// pairs of each block of lines are combined, then all are grouped, reduced and written in the order of their keys' bytes.
// usage: node functions.mjs FUNCTION.js INPUT OUTPUT
import fs from "node:fs";
import { pathToFileURL } from "node:url";

const [script, input, output] = process.argv.slice(2);
globalThis.args = {};
const { map, combine, reduce } = await import(pathToFileURL(script));
const BLOCK = 262144;

const add = (groups) => (key, value) => {
    const values = groups.get(key);
    if (values === undefined) groups.set(key, [value]);
    else values.push(value);
};

const all = new Map();
const addToAll = add(all);

function block(text, offset) {
    const groups = new Map();
    const emit = add(groups);
    for (const line of text.split("\n")) {
        map(`${input}:${offset}`, line, emit);
        offset += line.length + 1;
    }
    for (const [key, values] of groups) {
        if (combine) combine(key, values, addToAll);
        else for (const value of values) addToAll(key, value);
    }
}

const file = fs.openSync(input);
const buffer = Buffer.alloc(BLOCK);
let rest = Buffer.alloc(0);
let offset = 0;
for (;;) {
    const count = fs.readSync(file, buffer);
    if (count === 0) break;
    const bytes = Buffer.concat([rest, buffer.subarray(0, count)]);
    const end = bytes.lastIndexOf(10);
    if (end >= 0) block(bytes.toString("utf8", 0, end), offset);
    rest = Buffer.from(bytes.subarray(end + 1));
    offset += end + 1;
}
if (rest.length > 0) block(rest.toString("utf8"), offset);

const lines = [];
const keys = [...all.keys()].map((key) => [Buffer.from(key), key]).sort(([left], [right]) => left.compare(right));
for (const [, key] of keys) reduce(key, all.get(key), (name, value) => lines.push(`${name}\t${value}\n`));
fs.writeFileSync(output, lines.join(""));
