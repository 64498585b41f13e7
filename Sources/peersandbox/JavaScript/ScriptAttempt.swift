import CJavaScriptCore
import FunctionProtocol

/// A function's file in a context of its own: nothing is left of it when the attempt ends.
final class ScriptAttempt {
    /// What the file can do.
    struct Abilities {
        let roles: FunctionRoles
        let usesPosition: Bool
        let encoding: TextEncoding
    }

    private let program: ScriptProgram
    private let context = ScriptContext()
    /// `nil` while the function is only being checked: what it says then goes nowhere.
    private var channel: Channel?
    private var entries: JSValueRef?
    private(set) var abilities = Abilities(roles: [], usesPosition: false, encoding: .utf8)

    /// What ended the attempt, whatever the function did with the exception it got.
    private var fault: FunctionFault?
    private var place = RecordPlace()

    private var records = RecordPiece()
    private var pairs = PairPiece()
    private var output = ScriptOutput()
    private var sizes = UnsafeMutableBufferPointer<Int32>(start: nil, count: 0)
    private var bounds = UnsafeMutableBufferPointer<Int32>(start: nil, count: 0)
    private var offsets = UnsafeMutableBufferPointer<Double>(start: nil, count: 0)
    private var header = UnsafeMutableBufferPointer<Int32>(start: nil, count: 0)
    private var input = PairInput()

    /// Makes the context, in which nothing of the file is evaluated yet.
    init(_ program: ScriptProgram) throws(FunctionFault) {
        self.program = program
        entries = try install()
    }

    /// Evaluates the file, for an attempt or to check it.
    ///
    /// - Parameters:
    ///   - seed: what random numbers begin with.
    ///   - channel: where the attempt goes; `nil`: it is no attempt.
    /// - Throws: `invalid` when the file is not a function, with the place.
    func evaluate(seed: [UInt8], _ channel: Channel?) throws(FunctionFault) {
        self.channel = channel
        try call("seedRandom", context.seed(seed))
        do throws(ScriptContext.Exception) {
            _ = try context.evaluate(program.text, url: program.url)
        } catch {
            throw describe(error.value, .invalid)
        }
        abilities = try load()
    }

    /// Runs the attempt.
    func run(_ role: FunctionRole) throws(FunctionFault) {
        try call("start")
        if role == .map {
            while let frame = try channel?.next() { try map(frame) }
        } else {
            try call("reduceAll", context.boolean(role == .combine))
        }
        try call("finish")
    }
}

// MARK: - Loading

extension ScriptAttempt {
    private func install() throws(FunctionFault) -> JSValueRef? {
        do throws(ScriptContext.Exception) {
            let function = try context.evaluate(own: Prelude.source)
            let texts = program.arguments.flatMap { [$0.name, $0.value] }
            let entries = try context.call(
                function,
                [
                    natives(), context.string(program.name),
                    context.array(texts.lazy.map { self.context.string($0) }),
                    context.number(min(program.skipLimit, UInt64(UInt32.max))),
                    Channel.page.flatMap { context.numbers(of: $0) },
                ]
            )
            context.keep(entries)
            context.onUnhandledRejection(context.property("rejected", of: entries))
            sizes = context.elements(of: context.property("sizes", of: entries), as: Int32.self)
            bounds = context.elements(of: context.property("bounds", of: entries), as: Int32.self)
            offsets = context.elements(of: context.property("offsets", of: entries), as: Double.self)
            header = context.elements(of: context.property("header", of: entries), as: Int32.self)
            return entries
        } catch {
            throw FunctionFault(
                .sandbox,
                "the engine's own part failed: \(context.description(of: error.value))"
            )
        }
    }

    private func natives() -> JSValueRef? {
        let object = context.object()
        let bodies: [(String, NativeBody)] = [
            (
                "output",
                { [unowned self] in
                    self.emit($1); return $0.undefined
                }
            ),
            ("next", { [unowned self] context, _ in self.nextPairs() }),
            (
                "log",
                { [unowned self] in
                    self.log($1); return $0.undefined
                }
            ),
            (
                "counter",
                { [unowned self] in
                    self.count($1); return $0.undefined
                }
            ),
            (
                "skipped",
                { [unowned self] in
                    self.channel?.skipped(self.told($1)); return $0.undefined
                }
            ),
            (
                "failed",
                { [unowned self] in
                    self.fail(self.told($1)); return $0.undefined
                }
            ),
            (
                "rejected",
                { [unowned self] in
                    self.rejected($1); return $0.undefined
                }
            ),
            (
                "late",
                { [unowned self] context, _ in
                    self.emittedTooLate(); return context.undefined
                }
            ),
        ]
        for (name, body) in bodies { context.set(name, context.function(body), of: object) }
        return object
    }

    private func load() throws(FunctionFault) -> Abilities {
        let result: JSValueRef?
        do throws(ScriptContext.Exception) {
            let found = try context.evaluate(own: program.exports)
            result = try context.call(context.property("load", of: entries), [found])
        } catch {
            throw describe(error.value, .invalid)
        }
        let roles = context.integer(context.property("roles", of: result), as: UInt8.self) ?? 0
        let encoding = context.text(context.property("encoding", of: result)).flatMap(TextEncoding.init)
        return Abilities(
            roles: FunctionRoles(rawValue: roles),
            usesPosition: context.isTrue(context.property("usesPosition", of: result)),
            encoding: encoding ?? .utf8
        )
    }
}

// MARK: - Maps

extension ScriptAttempt {
    private func map(_ frame: Frame) throws(FunctionFault) {
        guard frame.kind == .records else { throw .malformedChunk }
        try frame.body.withUnsafeBufferPointer { body throws(FunctionFault) in
            let chunk = try RecordChunkView(UnsafeRawBufferPointer(body))
            place = RecordPlace(chunk.input)
            if chunk.format == .kv { try mapPairs(chunk) } else { try mapRecords(chunk) }
        }
    }

    private func mapRecords(_ chunk: borrowing RecordChunkView) throws(FunctionFault) {
        let front = context.string(abilities.usesPosition ? chunk.input + ":" : "")
        var position = 0
        while records.fill(from: chunk, at: &position, capacity: Prelude.recordCapacity) {
            for index in 0..<records.count {
                offsets[index] = Double(records.offsets[index])
                if abilities.encoding == .bytes { bounds[index] = Int32(records.ends[index]) }
            }
            place.records = records
            channel?.isAt(records.offsets[0])
            var bytes = records.bytes
            let text = context.string(&bytes, abilities.encoding)
            try call("mapRecords", text, context.number(records.count), front)
        }
    }

    private func mapPairs(_ chunk: borrowing RecordChunkView) throws(FunctionFault) {
        var position = 0
        while records.fill(from: chunk, at: &position, capacity: Prelude.recordCapacity) {
            place.records = records
            channel?.isAt(records.offsets[0])
            pairs.removeAll()
            for index in 0..<records.count {
                offsets[index] = Double(records.offsets[index])
                let isWhole = records.bytes.withUnsafeBytes {
                    pairs.append(escaped: UnsafeRawBufferPointer(rebasing: $0[records.range(of: index)]))
                }
                guard isWhole else { throw malformedPair(index, chunk.input) }
            }
            try call("mapPairs", handOver(), context.number(pairs.count))
        }
    }

    private func malformedPair(_ index: Int, _ input: String) -> FunctionFault {
        .malformedPair(
            input: input,
            offset: records.offsets[index],
            excerpt: records.bytes[records.range(of: index)]
        )
    }

    /// The pairs' text; their bounds go where the function's loop finds them.
    private func handOver() -> JSValueRef? {
        for (index, bound) in pairs.bounds.enumerated() { bounds[index] = bound }
        var bytes = pairs.bytes
        return context.string(
            &bytes,
            abilities.encoding,
            bounds: UnsafeMutableBufferPointer(rebasing: bounds[..<pairs.bounds.count])
        )
    }
}

// MARK: - What JavaScript calls

extension ScriptAttempt {
    private func nextPairs() -> JSValueRef? {
        guard fault == nil, let channel else { return nil }
        do throws(FunctionFault) {
            guard try input.fill(&pairs, from: channel, capacity: Prelude.recordCapacity) else { return nil }
            header[0] = Int32(pairs.count)
            return handOver()
        } catch {
            fail(error)
            return nil
        }
    }

    /// `output(text, count, bytes)`: pairs are emitted.
    private func emit(_ arguments: [JSValueRef?]) {
        guard fault == nil, let channel, arguments.count == 3,
            let text = arguments[0].flatMap({ ScriptString(of: $0, in: context) }),
            let count = context.integer(arguments[1], as: Int.self), count <= sizes.count
        else { return }
        do throws(FunctionFault) {
            try output.emit(
                text,
                sizes: UnsafeBufferPointer(rebasing: sizes[..<count]),
                bytes: UnsafeRawBufferPointer(context.elements(of: arguments[2], as: UInt8.self)),
                encoding: abilities.encoding,
                to: channel
            )
        } catch {
            fail(error)
        }
    }

    private func log(_ arguments: [JSValueRef?]) {
        guard let channel, let text = arguments.first.flatMap({ context.text($0) }) else { return }
        channel.log(text.utf8)
    }

    /// `counter(group NUL name, amount)`: a counter grows.
    private func count(_ arguments: [JSValueRef?]) {
        guard let channel, arguments.count == 2,
            let names = context.text(arguments[0])?.split(separator: "\0"),
            names.count == 2, let amount = context.integer(arguments[1], as: Int64.self)
        else { return }
        channel.count(CounterIncrement(group: String(names[0]), name: String(names[1]), amount: amount))
    }

    private func emittedTooLate() {
        fail(
            FunctionFault(
                .threw,
                "emit was called after the function had returned, from a promise; functions are synchronous"
            )
        )
    }

    /// The error of an asynchronous function that nobody waits for; it came after the call, so no record is known.
    private func rejected(_ arguments: [JSValueRef?]) {
        var fault = scriptFault(arguments).functionFault(.threw, file: program.name)
        fault.message =
            "a promise was rejected, and nothing caught it (functions are synchronous): \(fault.message)"
        fail(fault)
    }

    private func fail(_ reason: FunctionFault) { fault = fault ?? reason }

    /// What `Prelude`'s `describe` tells, as a fault of the record or key at hand.
    private func told(_ arguments: [JSValueRef?]) -> FunctionFault {
        var fault = scriptFault(arguments).functionFault(.threw, file: program.name)
        let index = arguments.count > 4 ? context.integer(arguments[4], as: Int.self) ?? 0 : 0
        if !place.describe(index, in: &fault), arguments.count > 5 {
            fault.excerpt = Array(
                (context.text(arguments[5]) ?? "").utf8.prefix(FunctionFault.maxExcerptByteCount)
            )
        }
        return fault
    }

    private func scriptFault(_ arguments: [JSValueRef?]) -> ScriptFault {
        guard arguments.count >= 4 else {
            return ScriptFault(message: "failed", line: 0, column: 0, stack: "")
        }
        return ScriptFault(
            message: context.text(arguments[0]) ?? "",
            line: context.integer(arguments[1]) ?? 0,
            column: context.integer(arguments[2]) ?? 0,
            stack: context.text(arguments[3]) ?? ""
        )
    }
}

// MARK: - Calls and their faults

extension ScriptAttempt {
    /// Calls an entry of `Prelude`.
    private func call(_ entry: String, _ arguments: JSValueRef?...) throws(FunctionFault) {
        do throws(ScriptContext.Exception) {
            _ = try context.call(context.property(entry, of: entries), arguments)
        } catch {
            let thrown = describe(error.value, .threw)
            fail(thrown)
        }
        if let fault { throw fault }
    }

    /// A thrown value as a fault.
    private func describe(_ value: JSValueRef, _ code: FunctionFault.Code) -> FunctionFault {
        context.keep(value)
        var told: ScriptFault?
        let take = context.function { [unowned self] context, values in
            told = scriptFault(values)
            return context.undefined
        }
        _ = try? context.call(context.property("describe", of: entries), [value, take])
        let known = told ?? ScriptFault(message: "failed", line: 0, column: 0, stack: "")
        var fault = known.functionFault(code, file: program.name)
        if fault.column == 0 {
            fault.column = program.column(ofSyntaxError: fault.message, inLine: fault.line)
        }
        return fault
    }
}
