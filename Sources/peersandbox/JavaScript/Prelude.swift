import FunctionProtocol

/// The part of the JavaScript engine that is JavaScript: it runs before a function's file in the same context.
///
/// It takes away what would make results differ (clocks, random numbers without a seed, machine-dependent language
/// data, memory shared with threads) and holds the loops that call the function, so that one native call moves many
/// records. It takes every built-in method that it needs before the function's file can replace one.
///
/// `install(native, file, arguments, skipLimit, place)` returns the entries that `ScriptAttempt` calls. Shared with it:
///
/// - `header` (Int32): the number of pairs of a batch.
/// - `bounds` (Int32): of pairs, two a pair: where its key ends (-1: the key of the pair before), where its value ends
///   (-1: no value); of records in `bytes`, one a record: where it ends, with a byte between records.
/// - `offsets` (Float64): of each record in its input.
/// - `place` (Float64): what `PlacePage` has.
/// - `sizes` (Int32): of emitted keys and values, by turns: units of text; -1: none; -2-n: n bytes of `bytes`.
enum Prelude {
    /// Most records handed over at once; rooms for them are made for each attempt.
    static let recordCapacity = 2048
    /// Most emitted keys and values held at once.
    static let partCapacity = 4096
    /// The same where records may be skipped: what a record emits can be taken back while it is held.
    static let carefulPartCapacity = 16384
    /// Units and bytes of emitted keys and values held at once, about.
    static let partUnits = 256 << 10
    /// Room for what is emitted as bytes, at first; it grows.
    static let byteCapacity = 4096
    /// Longest key or value that can be emitted, in units or bytes.
    static let maxPartCount = 60 << 20
    /// Most counters of an attempt.
    static let maxCounterCount = 256
    /// Longest name of a counter or its group, in units.
    static let maxCounterNameCount = 256
    /// Longest line of log, message or stack, in units.
    static let maxTextCount = 16 << 10

    nonisolated(unsafe) static let source = ScriptString(
        #"""
        (function install(native, file, argumentList, skipLimit, place) {
        "use strict";
        const atOffset = \#(PlacePage.Number.offset.rawValue), atSteps = \#(PlacePage.Number.steps.rawValue);
        const recordCapacity = \#(recordCapacity), partUnits = \#(partUnits);
        const partCapacity = skipLimit > 0 ? \#(carefulPartCapacity) : \#(partCapacity);
        const byteCapacity = \#(byteCapacity);
        const maxPartCount = \#(maxPartCount), maxCounterCount = \#(maxCounterCount);
        const maxCounterNameCount = \#(maxCounterNameCount), maxTextCount = \#(maxTextCount);

        // Taken before the function's file can replace them.
        const { defineProperty, getPrototypeOf, getOwnPropertyDescriptor, freeze, create } = Object;
        const { apply, construct } = Reflect;
        const unbound = Function.prototype.bind.bind(Function.prototype.call);
        const bind = unbound(Function.prototype.bind);
        const sourceOf = unbound(Function.prototype.toString);
        const split = unbound(String.prototype.split);
        const substring = unbound(String.prototype.substring);
        const join = unbound(Array.prototype.join);
        const push = unbound(Array.prototype.push);
        // Asks no other method, as `test` does.
        const exec = RegExp.prototype.exec;
        const stringify = JSON.stringify;
        const symbolText = unbound(Symbol.prototype.toString);
        const isPrototypeOf = unbound(Object.prototype.isPrototypeOf);
        const StringPrototype = String.prototype, charCodeAt = StringPrototype.charCodeAt;
        const TypedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
        const arrayName = unbound(getOwnPropertyDescriptor(TypedArrayPrototype, Symbol.toStringTag).get);
        const arrayLength = unbound(getOwnPropertyDescriptor(TypedArrayPrototype, "length").get);
        const arrayBuffer = unbound(getOwnPropertyDescriptor(TypedArrayPrototype, "buffer").get);
        const setBytes = unbound(TypedArrayPrototype.set);
        const Bytes = Uint8Array, Buffer = ArrayBuffer, Failure = TypeError, RangeFailure = RangeError;
        const ErrorPrototype = Error.prototype, PromisePrototype = Promise.prototype;
        const IteratorPrototype = Iterator.prototype;
        const Totals = Map;
        const totalOf = unbound(Map.prototype.get), setTotal = unbound(Map.prototype.set);
        const totalCount = unbound(getOwnPropertyDescriptor(Map.prototype, "size").get);
        const forEachTotal = unbound(Map.prototype.forEach);
        const asyncPrototypes = [
            getPrototypeOf(async function () {}), getPrototypeOf(function* () {}),
            getPrototypeOf(async function* () {}),
        ];

        // What would make results differ.
        for (const name of ["Atomics", "SharedArrayBuffer", "WeakRef", "FinalizationRegistry", "Intl", "Temporal",
            "WebAssembly", "ShadowRealm", "performance", "crypto", "$vm"]) delete globalThis[name];
        const noClock = "there is no clock here, so that results repeat; make dates of what the records say";
        const SystemDate = Date;
        const FixedDate = function Date() {
            if (new.target === undefined || arguments.length === 0) throw new Failure(noClock);
            return construct(SystemDate, arguments, new.target);
        };
        FixedDate.prototype = SystemDate.prototype;
        define(FixedDate, "length", 7);
        define(FixedDate, "parse", SystemDate.parse);
        define(FixedDate, "UTC", SystemDate.UTC);
        define(FixedDate, "now", function now() { throw new Failure(noClock); });
        define(SystemDate.prototype, "constructor", FixedDate);
        define(globalThis, "Date", FixedDate);

        // Chris Doty-Humphrey's sfc32.
        let a = 0, b = 0, c = 0, round = 1;
        function random32() {
            const sum = (a + b + round) | 0;
            round = (round + 1) | 0;
            a = b ^ (b >>> 9);
            b = (c + (c << 3)) | 0;
            c = ((c << 21) | (c >>> 11)) + sum | 0;
            return sum >>> 0;
        }
        function seedRandom(seed) {
            for (let i = 0; i < 24; i++) {
                if (i < seed.length) a = (a ^ seed[i]) | 0;
                random32();
            }
        }
        define(Math, "random", function random() {
            return ((random32() >>> 5) * 67108864 + (random32() >>> 6)) / 9007199254740992;
        });

        function define(object, name, value) {
            defineProperty(object, name, { value, writable: true, configurable: true, enumerable: false });
        }

        // Arguments.
        const args = {};
        for (let i = 0; i < argumentList.length; i += 2) {
            defineProperty(args, argumentList[i], { value: argumentList[i + 1], enumerable: true });
        }
        freeze(args);
        define(globalThis, "args", args);
        define(globalThis, "$dflt$", undefined);

        // Text of anything, without trust in it.
        function cut(text, count) {
            return text.length > count ? substring(text, 0, count) + "…" : text;
        }
        function isObject(value) {
            return typeof value === "function" || (typeof value === "object" && value !== null);
        }
        function show(value, isInside) {
            switch (typeof value) {
            case "string": return isInside ? stringify(cut(value, 1000)) : value;
            case "symbol": return symbolText(value);
            case "bigint": return value + "n";
            case "function": return "a function";
            case "object":
                if (value === null) return "null";
                try {
                    if (isPrototypeOf(ErrorPrototype, value)) return errorText(value);
                    const text = stringify(value, (key, inner) => typeof inner === "bigint" ? inner + "n" : inner);
                    if (typeof text === "string") return text;
                } catch {}
                return "an object that cannot be shown";
            default: return "" + value;
            }
        }
        function errorText(error) {
            const name = error.name, message = error.message;
            const front = typeof name === "string" && name !== "" ? name : "Error";
            return typeof message === "string" && message !== "" ? front + ": " + message : front;
        }

        // The log and counters.
        function log() {
            let line = "";
            for (let i = 0; i < arguments.length && line.length <= maxTextCount; i++) {
                line += (i > 0 ? " " : "") + show(arguments[i], false);
            }
            native.log(cut(line, maxTextCount) + "\n");
        }
        define(globalThis, "console", { log, info: log, warn: log, error: log, debug: log });

        const totals = new Totals();
        // Counts of the record being mapped, which are taken back with its pairs.
        const uncommitted = [];
        function counter(group, name, n = 1) {
            const key = counterName(group) + "\0" + counterName(name);
            if (typeof n !== "number" || n % 1 !== 0 || n > 9007199254740991 || n < -9007199254740991) {
                throw new Failure("a counter grows by a whole number, not by " + cut(show(n, true), 100));
            }
            if (skipLimit > 0 && active) push(uncommitted, key, n); else count(key, n);
        }
        function count(key, n) {
            const total = totalOf(totals, key);
            if (total === undefined && totalCount(totals) >= maxCounterCount) {
                throw new RangeFailure("more than " + maxCounterCount + " counters");
            }
            setTotal(totals, key, (total === undefined ? 0 : total) + n);
        }
        function counterName(name) {
            const text = isObject(name) || typeof name === "symbol" || name === undefined ? "" : "" + name;
            if (text === "" || text.length > maxCounterNameCount || split(text, "\0").length !== 1) {
                throw new Failure("a counter is named by texts of 1 to " + maxCounterNameCount + " characters");
            }
            return text;
        }
        function commit() {
            for (let i = 0; i < uncommitted.length; i += 2) count(uncommitted[i], uncommitted[i + 1]);
            uncommitted.length = 0;
        }
        define(globalThis, "counter", counter);

        // Emitted pairs. Every element of `parts` exists from the start, so that no prototype is asked for it.
        const parts = new Array(partCapacity).fill("");
        const sizes = new Int32Array(new Buffer(4 * partCapacity));
        let used = 0, stale = 0, units = 0;
        let bytes = new Bytes(new Buffer(byteCapacity)), bytesUsed = 0;
        let active = false, isLatin1 = false;
        // Where the record's own pairs begin, and whether some are sent already.
        let mark = 0, bytesMark = 0, isSent = false;
        const digits = [];
        for (let i = 0; i < 256; i++) push(digits, "" + i);
        const wide = /[^\0-\xff]/;
        // Whether the method that is called the fastest way is still the one that it was.
        let hasOwnMethods = true;
        function isWide(text) {
            if (!hasOwnMethods) return apply(exec, wide, [text]) !== null;
            for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 255) return true;
            return false;
        }

        function emit(key, value) {
            if (!active) tooLate();
            const keyPart = typeof key === "string" && !(isLatin1 && isWide(key)) ? key : part(key, "key");
            let valuePart = value;
            if (typeof value === "number" && (value >>> 0) === value && value < 256) valuePart = digits[value];
            else if (typeof value !== "string" || (isLatin1 && isWide(value))) valuePart = part(value, "value");
            if (used + 2 > partCapacity || units > partUnits) flush();
            put(keyPart);
            if (valuePart === undefined) {
                parts[used] = "";
                sizes[used++] = -1;
            } else {
                put(valuePart);
            }
        }
        function tooLate() {
            native.late();
            throw new Failure("emit was called after the function had returned; functions are synchronous");
        }
        // A text or bytes; undefined: none.
        function part(value, what) {
            switch (typeof value) {
            case "string":
                if (isLatin1 && isWide(value)) {
                    throw new RangeFailure("the " + what + " " + cut(stringify(value), 100)
                        + " has characters above U+00FF, which the encoding latin1 does not have");
                }
                return value;
            case "number": case "bigint": case "boolean":
                return "" + value;
            case "undefined":
                if (what === "value") return undefined;
                break;
            case "object":
                if (value === null && what === "value") return undefined;
                if (value !== null && arrayName(value) === "Uint8Array") return value;
            }
            throw new Failure("emit takes text, numbers, bigints, booleans and Uint8Arrays; this " + what + " is "
                + (value === undefined ? "undefined" : value === null ? "null"
                    : typeof value === "object" ? "an object: " + cut(show(value, true), 100)
                        + "; use JSON.stringify"
                    : "a " + typeof value));
        }
        function put(part) {
            const length = typeof part === "string" ? part.length : arrayLength(part);
            if (length > maxPartCount) {
                throw new RangeFailure("a key or value is longer than " + maxPartCount);
            }
            if (typeof part === "string") {
                parts[used] = part;
                sizes[used++] = length;
                units += length;
                return;
            }
            if (bytesUsed + length > bytes.length) grow(bytesUsed + length);
            setBytes(bytes, part, bytesUsed);
            bytesUsed += length;
            units += length;
            parts[used] = "";
            sizes[used++] = -2 - length;
        }
        function grow(length) {
            const larger = new Bytes(new Buffer(length * 2));
            setBytes(larger, bytes, 0);
            bytes = larger;
        }
        function flush() {
            isSent = true;
            if (used === 0) return;
            for (let i = used; i < stale; i++) parts[i] = "";
            stale = used;
            const text = join(parts, ""), count = used, sent = bytes;
            used = 0;
            units = 0;
            bytesUsed = 0;
            mark = 0;
            bytesMark = 0;
            if (bytes.length > 1048576) bytes = new Bytes(new Buffer(byteCapacity));
            native.output(text, count, sent);
        }

        // Failures.
        let index = 0, currentKey = "";
        function describe(error, tell) {
            let message, line = 0, column = 0, stack = "";
            try {
                if (isObject(error) && isPrototypeOf(ErrorPrototype, error)) {
                    message = errorText(error);
                    if (error.sourceURL === file && typeof error.line === "number") line = error.line;
                    if (error.sourceURL === file && typeof error.column === "number") column = error.column;
                    if (typeof error.stack === "string") stack = error.stack;
                }
            } catch {}
            if (message === undefined) message = "threw " + show(error, true);
            tell(cut(message, maxTextCount), line, column, cut(stack, 4 * maxTextCount), index,
                typeof currentKey === "string" ? cut(currentKey, 100) : "");
        }
        // Takes back what the record emitted and goes on, if that is allowed.
        function skip(error) {
            if (skipLimit === 0 || isSent) return false;
            skipLimit--;
            used = mark;
            bytesUsed = bytesMark;
            uncommitted.length = 0;
            describe(error, native.skipped);
            return true;
        }
        function begin() {
            mark = used;
            bytesMark = bytesUsed;
            isSent = false;
            hasOwnMethods = StringPrototype.charCodeAt === charCodeAt;
            active = true;
        }
        // A promise was rejected, and nothing took the reason.
        function rejected(promise, reason) {
            describe(reason, native.rejected);
        }
        function checkResult(result) {
            if (isObject(result) && isPrototypeOf(PromisePrototype, result)) {
                throw new Failure("the function returned a promise; functions are synchronous");
            }
        }

        // Loading.
        let map, combine, reduce, setup, isBytes = false;
        const entryNames = ["map", "combine", "reduce", "setup"];
        const space = "(?:\\s|/\\*[^]*?\\*/|//[^\\n]*\\n)*";
        const unknown = /\[native code\]\s*\}$|\barguments\b/;
        const classFront = /^class\b/;
        const arrow = new RegExp("^" + space + "([\\w$]+)" + space + "=>");
        const first = new RegExp("\\(" + space + "([^\\s]?)");
        function load(found) {
            let encoding = found.encoding;
            const fallback = found.default;
            for (let i = 0; i < entryNames.length; i++) {
                const name = entryNames[i];
                if (found[name] === undefined && isObject(fallback) && fallback[name] !== undefined) {
                    found[name] = fallback[name];
                    if (typeof found[name] === "function") found["bound" + name] = bind(found[name], fallback);
                }
                const value = found[name];
                if (value === undefined) continue;
                if (typeof value !== "function") throw new Failure(name + " is " + show(value, true) + ", not a function");
                refuseClass(value, name);
                for (let j = 0; j < asyncPrototypes.length; j++) {
                    if (getPrototypeOf(value) === asyncPrototypes[j]) {
                        throw new Failure(name + " is asynchronous or a generator; functions are synchronous and call emit");
                    }
                }
            }
            if (found.map === undefined && typeof fallback === "function") {
                refuseClass(fallback, "the default export");
                found.map = fallback;
            }
            if (encoding === undefined && isObject(fallback)) encoding = fallback.encoding;
            if (encoding === undefined) encoding = "utf-8";
            if (encoding !== "utf-8" && encoding !== "latin1" && encoding !== "bytes") {
                throw new Failure("encoding is " + show(encoding, true) + "; it can be \"utf-8\", \"latin1\" or \"bytes\"");
            }
            delete globalThis.$dflt$;
            map = found.boundmap ?? found.map;
            combine = found.boundcombine ?? found.combine;
            reduce = found.boundreduce ?? found.reduce;
            setup = found.boundsetup ?? found.setup;
            isLatin1 = encoding === "latin1";
            isBytes = encoding === "bytes";
            return {
                encoding, roles: (map ? 1 : 0) | (combine ? 2 : 0) | (reduce ? 4 : 0),
                usesPosition: map !== undefined && usesKey(sourceOf(found.map)),
            };
        }
        function refuseClass(value, what) {
            if (apply(exec, classFront, [sourceOf(value)]) !== null) {
                throw new Failure(what + " is a class, which is not called; export functions, or an object that has them");
            }
        }
        // Whether a function looks at its first parameter, by its text.
        function usesKey(source) {
            if (apply(exec, unknown, [source]) !== null) return true;
            const bare = apply(exec, arrow, [source]);
            if (bare !== null) return bare[1][0] !== "_";
            const found = apply(exec, first, [source]);
            return found === null || (found[1] !== ")" && found[1] !== "_");
        }
        function start() {
            if (setup !== undefined) checkResult(setup(args));
        }

        // Maps.
        const header = new Int32Array(new Buffer(16));
        const bounds = new Int32Array(new Buffer(8 * recordCapacity));
        const offsets = new Float64Array(new Buffer(8 * recordCapacity));
        function copy(array, start, end) { return new Bytes(new Bytes(arrayBuffer(array), start, end - start)); }
        function mapRecords(text, count, front) {
            const records = isBytes ? undefined : split(text, "\n");
            index = 0;
            while (index < count) {
                try {
                    if (skipLimit > 0) mapCarefully(text, records, count, front);
                    else mapAll(text, records, count, front);
                } catch (error) {
                    active = false;
                    if (!skip(error)) { describe(error, native.failed); return; }
                    index++;
                }
            }
        }
        function mapAll(text, records, count, front) {
            begin();
            for (; index < count; index++) {
                const key = front === "" ? "" : front + offsets[index];
                const record = records !== undefined ? records[index] : bytesOf(text);
                place[atOffset] = offsets[index];
                const result = map(key, record, emit);
                if (result !== undefined) checkResult(result);
            }
            active = false;
        }
        function mapCarefully(text, records, count, front) {
            for (; index < count; index++) {
                if (used * 2 > partCapacity || units * 2 > partUnits) flush();
                begin();
                const key = front === "" ? "" : front + offsets[index];
                place[atOffset] = offsets[index];
                const result = map(key, records !== undefined ? records[index] : bytesOf(text), emit);
                if (result !== undefined) checkResult(result);
                commit();
                active = false;
            }
        }
        function bytesOf(text) { return copy(text, index === 0 ? 0 : bounds[index - 1] + 1, bounds[index]); }
        function slice(text, start, end) { return isBytes ? copy(text, start, end) : substring(text, start, end); }
        function mapPairs(text, count) {
            let position = 0;
            for (index = 0; index < count; index++) {
                const keyEnd = bounds[2 * index], valueEnd = bounds[2 * index + 1];
                const key = slice(text, position, keyEnd);
                const value = valueEnd < 0 ? null : slice(text, keyEnd, valueEnd);
                position = valueEnd < 0 ? keyEnd : valueEnd;
                try {
                    if (used * 2 > partCapacity || units * 2 > partUnits) flush();
                    begin();
                    place[atOffset] = offsets[index];
                    const result = map(key, value, emit);
                    if (result !== undefined) checkResult(result);
                    commit();
                } catch (error) {
                    if (!skip(error)) { active = false; describe(error, native.failed); return; }
                }
                active = false;
            }
        }

        // Combines and reduces: the batch of pairs at hand, and where in it we are.
        let batch = "", pairs = 0, pair = 0, position = 0, isOver = false, current, steps = 0;
        // A pair is at hand; false behind the last of all.
        function fill() {
            while (pair === pairs) {
                if (isOver) return false;
                const next = native.next();
                if (next === undefined) { isOver = true; return false; }
                batch = next;
                pairs = header[0];
                pair = 0;
                position = 0;
            }
            return true;
        }
        function Values() {}
        Values.prototype = create(IteratorPrototype);
        define(Values.prototype, "next", function next() {
            if (this !== current) {
                throw new Failure("values were read after the function had returned; copy them with [...values] to keep them");
            }
            if (!fill() || bounds[2 * pair] !== -1) return { value: undefined, done: true };
            const end = bounds[2 * pair + 1];
            pair++;
            place[atSteps] = ++steps;
            if (end < 0) return { value: null, done: false };
            const value = slice(batch, position, end);
            position = end;
            return { value, done: false };
        });
        defineProperty(Values.prototype, "length", {
            get() { throw new Failure("values is read once from front to end and has no length; count while reading, or copy it with [...values]"); },
        });
        freeze(Values.prototype);
        function reduceAll(isCombine) {
            const call = isCombine ? combine : reduce;
            try {
                while (fill()) {
                    const end = bounds[2 * pair];
                    currentKey = slice(batch, position, end);
                    position = end;
                    place[atSteps] = ++steps;
                    // From here on it is like the pairs of the same key behind it.
                    bounds[2 * pair] = -1;
                    current = new Values();
                    begin();
                    const result = call(currentKey, current, emit);
                    if (result !== undefined) checkResult(result);
                    commit();
                    active = false;
                    current = undefined;
                    while (fill() && bounds[2 * pair] === -1) {
                        if (bounds[2 * pair + 1] >= 0) position = bounds[2 * pair + 1];
                        pair++;
                    }
                }
            } catch (error) {
                active = false;
                current = undefined;
                describe(error, native.failed);
            }
        }
        function finish() {
            flush();
            forEachTotal(totals, (amount, key) => { if (amount !== 0) native.counter(key, amount); });
        }
        return { seedRandom, load, start, mapRecords, mapPairs, reduceAll, finish, describe, rejected, header, bounds, offsets, sizes };
        })
        """#
    )
}
