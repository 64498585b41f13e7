import CJavaScriptCore
import FunctionProtocol
import Glibc

/// A compiled module, its instance at hand, and the bytes that go in and out of it.
final class WasmMachine {
    private let context = ScriptContext()
    /// What the function is told when it starts, packed.
    private var arguments: [UInt8] = []
    /// The functions of `WasmHost`.
    private var entries: [JSObjectRef?] = []
    /// Where bytes go in; JavaScript keeps it until it is asked for another.
    private var inbox = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    /// The name of the input that the instances are told, byte for byte.
    private var input: [UInt8]?
    /// Memory may take more than is touched.
    private let allowsLargePages: Bool

    /// Where the attempt at hand goes; `nil`: nowhere, while a fault is looked for.
    var channel: Channel?
    /// What ended the attempt from this side.
    private(set) var fault: FunctionFault?
    /// Why the last call trapped.
    private(set) var trap = FunctionFault(.threw, "")
    /// The function's own words, of a call that is about to trap.
    private var ownMessage: String?
    private var counters: [CounterName: Int64] = [:]

    private struct CounterName: Hashable {
        let group: String
        let name: String
    }

    /// Most counters of an attempt, as many as a job keeps.
    private static let maxCounterCount = 256
    private static let maxCounterNameByteCount = 256

    /// Compiles a module.
    ///
    /// - Parameters:
    ///   - program: the module.
    ///   - memoryByteLimit: memory that an attempt may use, in bytes; 0: no limit.
    /// - Throws: `invalid` when the engine refuses it, in the engine's words.
    init(_ program: [UInt8], memoryByteLimit: UInt64) throws(FunctionFault) {
        allowsLargePages = memoryByteLimit == 0 || memoryByteLimit > WasmMachine.maxTightByteLimit
        do throws(ScriptContext.Exception) {
            let install = try context.evaluate(own: WasmHost.source)
            let place = Channel.page.flatMap { context.numbers(of: $0) }
            let host = try context.call(install, [natives(), context.bytes(program), place])
            context.keep(host)
            entries = Entry.allCases.map { context.property("\($0)", of: host) }
        } catch {
            throw FunctionFault(.invalid, WasmMachine.withoutSource(context.description(of: error.value)))
        }
    }

    /// Instances are told these arguments from now on.
    func take(arguments: [(name: String, value: String)]) {
        self.arguments = []
        for argument in arguments {
            PackedPairs.append(key: argument.name.utf8, value: argument.value.utf8, to: &self.arguments)
        }
    }

    /// A fresh instance, told its arguments.
    ///
    /// - Returns: `false` when it trapped.
    func start() throws(FunctionFault) -> Bool {
        try arguments.withUnsafeBufferPointer { bytes throws(FunctionFault) in
            try fillInbox(UnsafeRawBufferPointer(bytes))
        }
        guard try call(.start, context.number(arguments.count)) else { return false }
        if allowsLargePages { try allowLargePages() }
        return true
    }

    /// Begins an attempt with this seed, and no instance yet.
    func begin(seed: [UInt8]) throws(FunctionFault) {
        fault = nil
        counters = [:]
        input = nil
        _ = try call(.begin, context.seed(seed))
    }

    /// Drops what is emitted from now on, and refuses at once what is no pairs.
    func beginSearch() throws(FunctionFault) {
        channel = nil
        fault = nil
        try check()
    }

    /// Refuses at once what is emitted and no pairs, until the next `begin`.
    func check() throws(FunctionFault) { _ = try call(.check) }

    /// Maps records of `input`, which begin at `offset` of it.
    ///
    /// `isHeld`: what they emit is taken back if they trap; `isAlone`: an end follows at once.
    ///
    /// - Returns: `false` when it trapped.
    func map(
        _ bytes: UnsafeRawBufferPointer,
        of input: String,
        at offset: UInt64,
        format: UInt8,
        isHeld: Bool,
        isAlone: Bool
    ) throws(FunctionFault) -> Bool {
        if self.input.map({ $0.elementsEqual(input.utf8) }) != true {
            let name = Array(input.utf8)
            _ = try call(.input, context.bytes(name))
            self.input = name
        }
        try fillInbox(bytes)
        return try call(
            .map,
            context.number(bytes.count),
            context.number(offset),
            context.number(format),
            context.boolean(isHeld),
            context.boolean(isAlone)
        )
    }

    /// Hands over sorted pairs.
    ///
    /// - Returns: `false` when it trapped.
    func take(_ packedPairs: [UInt8], _ role: FunctionRole) throws(FunctionFault) -> Bool {
        try packedPairs.withUnsafeBufferPointer { bytes throws(FunctionFault) in
            try fillInbox(UnsafeRawBufferPointer(bytes))
        }
        return try call(role == .combine ? .combine : .reduce, context.number(packedPairs.count))
    }

    /// Ends the input.
    ///
    /// - Returns: `false` when it trapped.
    func end(_ role: FunctionRole) throws(FunctionFault) -> Bool {
        guard try call(.end, context.number(role.rawValue)) else { return false }
        for (name, amount) in counters where amount != 0 {
            channel?.count(CounterIncrement(group: name.group, name: name.name, amount: amount))
        }
        return true
    }

    /// Lets the front of the instance's memory lie on large pages, as far as it has not been touched: a fault for every four
    /// KiB takes longer than to count their words.
    private func allowLargePages() throws(FunctionFault) {
        let memory = UnsafeMutableRawBufferPointer(
            context.elements(of: try result(of: .memory, []), as: UInt8.self)
        )
        guard let start = memory.baseAddress else { return }
        let size = WasmMachine.largePageByteCount
        let front = start.alignedUp(toMultipleOf: size)
        let end = (start + min(memory.count, WasmMachine.maxLargeByteCount)).alignedDown(toMultipleOf: size)
        if front < end { madvise(front, end - front, MADV_HUGEPAGE) }
    }

    private static let largePageByteCount = 2 << 20
    /// Up to this limit on memory, in bytes, every page counts, and those that are touched in part are small.
    private static let maxTightByteLimit: UInt64 = 256 << 20
    /// What a module has beyond it is likely to be touched here and there only, in bytes.
    private static let maxLargeByteCount = 16 << 20

    /// Forgets the instance.
    func drop() { _ = try? call(.drop) }
}

// MARK: - Calls

extension WasmMachine {
    private enum Entry: Int, CaseIterable {
        case room, check, begin, start, input, map, combine, reduce, end, memory, drop
    }

    private func call(_ entry: Entry, _ arguments: JSValueRef?...) throws(FunctionFault) -> Bool {
        context.isTrue(try result(of: entry, arguments))
    }

    private func result(of entry: Entry, _ arguments: [JSValueRef?]) throws(FunctionFault) -> JSValueRef? {
        var result: JSValueRef?
        do throws(ScriptContext.Exception) {
            result = try context.call(entries[entry.rawValue], arguments)
        } catch {
            throw FunctionFault(.threw, context.description(of: error.value))
        }
        if let fault { throw fault }
        return result
    }

    private func fillInbox(_ bytes: UnsafeRawBufferPointer) throws(FunctionFault) {
        let usual = WasmHost.inboxByteCount
        if inbox.count < bytes.count || (inbox.count > 8 * usual && bytes.count <= usual) {
            inbox = UnsafeMutableRawBufferPointer(start: nil, count: 0)
            let room = try result(of: .room, [context.number(max(bytes.count, usual))])
            inbox = UnsafeMutableRawBufferPointer(context.elements(of: room, as: UInt8.self))
        }
        guard bytes.count <= inbox.count else {
            throw FunctionFault(.threw, "there is no room for \(bytes.count) bytes")
        }
        inbox.copyMemory(from: bytes)
    }

    private func natives() -> JSValueRef? {
        let object = context.object()
        let bodies: [(String, NativeBody)] = [
            (
                "output",
                { [unowned self] in
                    emit($1); return $0.undefined
                }
            ),
            (
                "log",
                { [unowned self] in
                    channel?.log(bytes($1.first)); return $0.undefined
                }
            ),
            ("counter", { [unowned self] in count($1).map($0.string) ?? $0.undefined }),
            (
                "told",
                { [unowned self] in
                    tell(bytes($1.first)); return $0.undefined
                }
            ),
            (
                "trapped",
                { [unowned self] in
                    trapped($1); return $0.undefined
                }
            ),
        ]
        for (name, body) in bodies { context.set(name, context.function(body), of: object) }
        return object
    }

    private func bytes(_ array: JSValueRef??) -> [UInt8] {
        Array(context.elements(of: array ?? nil, as: UInt8.self))
    }
    private func text(_ array: JSValueRef??) -> String { String(decoding: bytes(array), as: UTF8.self) }

    /// `told(text)`: the function says why it fails; nothing that could be shown counts as nothing.
    private func tell(_ text: [UInt8]) {
        ownMessage = text.allSatisfy { $0 <= 0x20 } ? nil : String(decoding: text, as: UTF8.self)
    }

    /// `output(bytes, count)`: pairs are emitted.
    private func emit(_ arguments: [JSValueRef?]) {
        guard fault == nil, let channel, arguments.count == 2,
            let count = context.integer(arguments[1], as: Int.self)
        else { return }
        let outbox = UnsafeRawBufferPointer(context.elements(of: arguments[0], as: UInt8.self))
        guard count <= outbox.count else { return }
        do throws(FunctionFault) {
            try channel.emit(wholePairs: UnsafeRawBufferPointer(rebasing: outbox[..<count]))
        } catch {
            fault = error
        }
    }

    /// `counter(group, name, amount)`: a counter grows; returns why it cannot.
    private func count(_ arguments: [JSValueRef?]) -> String? {
        guard channel != nil, arguments.count == 3 else { return nil }
        let name = CounterName(group: text(arguments[0]), name: text(arguments[1]))
        let counts = 1...WasmMachine.maxCounterNameByteCount
        guard counts.contains(name.group.utf8.count), counts.contains(name.name.utf8.count) else {
            return "counter: group and name have 1 to \(WasmMachine.maxCounterNameByteCount) bytes"
        }
        guard counters[name] != nil || counters.count < WasmMachine.maxCounterCount else {
            return "counter: more than \(WasmMachine.maxCounterCount) counters"
        }
        counters[name, default: 0] &+= context.text(arguments[2]).flatMap { Int64($0) } ?? 0
        return nil
    }

    /// `trapped(message, stack)`: a call ended early.
    private func trapped(_ arguments: [JSValueRef?]) {
        let message = ownMessage ?? arguments.first.flatMap { context.text($0) } ?? ""
        ownMessage = nil
        let stack = arguments.count > 1 ? context.text(arguments[1]) ?? "" : ""
        trap = FunctionFault(.threw, WasmMachine.withoutSource(message), stack: WasmMachine.frames(stack))
    }

    /// A message without the piece of our own text that JavaScriptCore quotes.
    private static func withoutSource(_ message: String) -> String {
        let parts = message.split(separator: " (evaluating '", maxSplits: 1, omittingEmptySubsequences: false)
        return parts.first.map(String.init) ?? message
    }

    private static let maxFrameCount = 12

    /// The module's own frames, `name@module:wasm-function[index]` in the engine's words.
    private static func frames(_ stack: String) -> String {
        var lines: [String] = []
        for frame in stack.split(separator: "\n") where lines.count < maxFrameCount {
            guard frame.hasSuffix("]"), frame.contains(":wasm-function["), let at = frame.firstIndex(of: "@"),
                let open = frame.lastIndex(of: "[")
            else { continue }
            let index = frame[frame.index(after: open)...].dropLast()
            let name = frame[..<at]
            // The engine calls a function without a name by its index.
            let line = "at " + (name.isEmpty || name == index ? "function \(index)" : String(name))
            if line != lines.last { lines.append(line) }
        }
        return lines.joined(separator: "\n")
    }
}

extension Channel {
    /// Emits pairs in frames of whole ones.
    ///
    /// - Throws: `threw` when the bytes are no packed pairs.
    fileprivate func emit(wholePairs bytes: UnsafeRawBufferPointer) throws(FunctionFault) {
        guard PackedPairs.count(in: bytes) != nil else {
            throw FunctionFault(.threw, "emit was given bytes that are no packed pairs")
        }
        if bytes.count <= Frame.maxBodyByteCount { return try emit(bytes) }
        var start = 0
        var end = 0
        while let pair = PackedPairView(bytes, at: end) {
            if pair.end - start > Frame.maxBodyByteCount, end > start {
                try emit(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
                start = end
            }
            end = pair.end
        }
        try emit(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
    }
}
