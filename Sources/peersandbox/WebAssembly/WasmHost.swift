import FunctionProtocol

/// The part of the WebAssembly engine that is JavaScript.
///
/// It makes instances, moves bytes into and out of their memory, which JavaScriptCore's C API does not reach, and
/// catches traps. No JavaScript of a user runs beside it.
/// `install(native, module bytes, PlacePage's numbers)` returns the entries that `WasmMachine` calls.
enum WasmHost {
    /// Room for bytes that go in, in bytes; eight times as much is kept when it was needed once.
    static let inboxByteCount = 256 << 10
    /// Emitted bytes held at once, about.
    static let outboxByteCount = 256 << 10
    /// Longest text that a function logs or fails with at once, in bytes.
    static let maxTextByteCount = 16 << 10

    nonisolated(unsafe) static let source = ScriptString(
        #"""
        (function install(native, bytes, page) {
        "use strict";
        const atSteps = \#(PlacePage.Number.steps.rawValue);
        const module = new WebAssembly.Module(bytes);
        const defaultCount = \#(outboxByteCount), maxTextByteCount = \#(maxTextByteCount);
        let exports, view, inbox = new Uint8Array(0), outbox = new Uint8Array(2 * defaultCount), used = 0;
        // `isChecking`: pairs are looked at where they are emitted, which tells the function, and not only when they are sent.
        let isChecking = false, holds = false, isSent = false, inputName = new Uint8Array(0), inputOffset = 0;
        class Refusal extends Error {}

        // Where `count` bytes at `pointer` begin in `view`, which is of the memory that may have grown.
        function at(pointer, count, what = "mr_buffer(" + count + ")") {
            if (exports === undefined) throw new Refusal(what + " was called before the module's start function had ended");
            const start = pointer >>> 0, length = count >>> 0;
            if (view === undefined || view.buffer !== exports.memory.buffer) view = new Uint8Array(exports.memory.buffer);
            if (start + length > view.length) {
                throw new Refusal(what + ": " + length + " bytes at " + start + " lie outside of the memory, which has "
                    + view.length + " bytes");
            }
            return start;
        }
        function region(pointer, count, what) {
            const start = at(pointer, count, what);
            return view.subarray(start, start + (count >>> 0));
        }
        function holdsPairs(bytes) {
            const heads = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
            let end = 0;
            while (end + 8 <= bytes.length) {
                const value = heads.getUint32(end + 4, true);
                end += 8 + heads.getUint32(end, true) + (value === 0xffffffff ? 0 : value);
            }
            return end === bytes.length;
        }
        function text(pointer, count, what) {
            return region(pointer, Math.min(count >>> 0, maxTextByteCount), what).slice();
        }

        let a = 0, b = 0, c = 0, round = 1;
        function random32() {
            const sum = (a + b + round) | 0;
            round = (round + 1) | 0;
            a = b ^ (b >>> 9);
            b = (c + (c << 3)) | 0;
            c = ((c << 21) | (c >>> 11)) + sum | 0;
            return sum >>> 0;
        }

        const mr = {
            emit(pointer, count) {
                page[atSteps]++;
                const source = region(pointer, count, "emit");
                if (isChecking && !holdsPairs(source)) throw new Refusal("emit was given bytes that are no packed pairs");
                if (used + source.length > outbox.length) {
                    if (!holds) flush();
                    if (used + source.length > outbox.length) {
                        const larger = new Uint8Array(2 * (used + source.length));
                        larger.set(outbox.subarray(0, used));
                        outbox = larger;
                    }
                }
                outbox.set(source, used);
                used += source.length;
                if (used >= defaultCount && !holds) flush();
            },
            log(pointer, count) { page[atSteps]++; native.log(text(pointer, count, "log")); },
            counter(group, groupCount, name, nameCount, amount) {
                page[atSteps]++;
                const refusal = native.counter(text(group, groupCount, "counter"), text(name, nameCount, "counter"), "" + amount);
                if (refusal !== undefined) throw new Refusal(refusal);
            },
            fail(pointer, count) {
                native.told(text(pointer, count, "fail"));
                throw new Refusal("the function called fail without a message");
            },
            random() { return BigInt.asIntN(64, (BigInt(random32()) << 32n) | BigInt(random32())); },
            input_name(pointer, capacity) {
                const count = Math.min(capacity >>> 0, inputName.length);
                region(pointer, count, "input_name").set(inputName.subarray(0, count));
                return inputName.length;
            },
            input_offset() { return BigInt(inputOffset); },
        };

        function flush() {
            if (used === 0) return;
            const count = used;
            used = 0;
            native.output(outbox, count);
            if (outbox.length > 8 * defaultCount) outbox = new Uint8Array(2 * defaultCount);
        }
        // Calls `body`; a trap is told, and takes back what was emitted since if `isHeld`.
        function guarded(isHeld, body) {
            if (isHeld) flush();
            holds = isHeld;
            try {
                body();
                return true;
            } catch (error) {
                if (isHeld) used = 0;
                native.trapped(error instanceof Refusal ? error.message : error.name + ": " + error.message,
                    typeof error.stack === "string" ? error.stack : "");
                return false;
            } finally {
                holds = false;
            }
        }
        function give(count, what, call) {
            const pointer = exports.mr_buffer(count) >>> 0;
            if (pointer === 0 && count > 0) throw new Refusal("mr_buffer(" + count + ") gave no room");
            const start = at(pointer, count);
            view.set(inbox.subarray(0, count), start);
            call(pointer, count);
        }
        return {
            // Where bytes come in, up to `count` of them.
            room(count) { return inbox = new Uint8Array(count); },
            // What is emitted is checked at once, from now to the next `begin`.
            check() { isChecking = true; },
            begin(seed) {
                used = 0;
                isChecking = false;
                inputName = new Uint8Array(0);
                inputOffset = 0;
                a = b = c = 0;
                round = 1;
                for (let i = 0; i < 24; i++) {
                    if (i < seed.length) a = (a ^ seed[i]) | 0;
                    random32();
                }
            },
            // `argumentCount` bytes of packed arguments are in the inbox.
            start(argumentCount) {
                exports = view = undefined;
                return guarded(false, () => {
                    exports = new WebAssembly.Instance(module, { mr }).exports;
                    if (exports._initialize !== undefined) exports._initialize();
                    if (exports.mr_setup !== undefined) give(argumentCount, "mr_setup", exports.mr_setup);
                });
            },
            input(name) { inputName = name; },
            // `count` bytes of records are in the inbox, which begin at `offset` of the input.
            map(count, offset, format, isHeld, isAlone) {
                inputOffset = offset;
                const isWhole = guarded(isHeld, () => {
                    give(count, "mr_map", (pointer, count) => exports.mr_map(pointer, count, format));
                    if (isAlone && exports.mr_end !== undefined) exports.mr_end(1);
                });
                // So that what is wrong with it is found with the records that it comes from.
                if (isWhole) flush();
                return isWhole;
            },
            combine(count) { return guarded(false, () => give(count, "mr_combine", exports.mr_combine)); },
            reduce(count) { return guarded(false, () => give(count, "mr_reduce", exports.mr_reduce)); },
            end(role) {
                const isWhole = guarded(false, () => { if (exports.mr_end !== undefined) exports.mr_end(role); });
                if (isWhole) flush();
                return isWhole;
            },
            memory() { return view = new Uint8Array(exports.memory.buffer); },
            // Nothing of the attempt stays.
            drop() { exports = undefined; view = undefined; used = 0; },
        };
        })
        """#
    )
}
