import FunctionProtocol
import Glibc
import MRProtocol

/// Feeds sorted pairs to a user function, in batches, and hands on the pairs that it emits.
///
/// The values of a key are never held together: they go to the function's process as they come.
final class FunctionFold: PairFold {
    private let helper: FunctionHelper
    private let functions: JobFunctions
    private let role: FunctionRole
    private let tally: FunctionTally
    private let output: any PairOutput
    private let onKey: ((UnsafeRawBufferPointer) throws(TaskFault) -> Void)?
    private let batch = GrowingBytes(capacity: Frame.batchByteCount + (64 << 10))
    private let key = GrowingBytes()
    private var isOpen = true

    private(set) var keyCount: UInt64 = 0
    private(set) var pairCount: UInt64 = 0

    /// Begins an attempt of `role`.
    ///
    /// - Parameters:
    ///   - functions: lend the process.
    ///   - function: which of them.
    ///   - start: role and seed.
    ///   - limits: tell when to stop.
    ///   - tally: takes what is no output.
    ///   - output: takes what the function emits.
    ///   - onKey: called for every key when its first pair is added.
    /// - Throws: `TaskFault.userFunction` when no process can be had.
    init(
        _ functions: JobFunctions,
        _ function: FunctionReference,
        start: TaskStart,
        limits: AttemptLimits,
        tally: FunctionTally,
        output: any PairOutput,
        onKey: ((UnsafeRawBufferPointer) throws(TaskFault) -> Void)? = nil
    ) throws(TaskFault) {
        self.functions = functions
        self.tally = tally
        self.output = output
        role = start.role
        self.onKey = onKey
        let helper = try functions.borrow(function)
        self.helper = helper
        try helper.begin(start, limits)
    }

    deinit {
        // An attempt in the middle: its process is of no more use.
        if isOpen { helper.close() }
    }

    func add(key newKey: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) throws(TaskFault) {
        pairCount += 1
        if keyCount == 0 || !isCurrent(newKey) {
            keyCount += 1
            key.removeAll()
            key.append(newKey)
            try onKey?(newKey)
        }
        let byteCount = PackedPairs.headByteCount + newKey.count + (value?.count ?? 0)
        guard byteCount <= Frame.maxBodyByteCount else {
            throw .limit("a pair of \(byteCount) bytes is too long for a function", helper.function, role)
        }
        if batch.count > 0, batch.count + byteCount > Frame.batchByteCount { try flush() }
        append(UInt32(newKey.count))
        append(value.map { UInt32($0.count) } ?? PackedPairs.noValue)
        batch.append(newKey)
        if let value { batch.append(value) }
    }

    func finish() throws(TaskFault) {
        try flush()
        defer { release() }
        try helper.end(role: role) { (answer) throws(TaskFault) in try take(answer) }
    }

    /// The attempt has ended, one way or the other.
    private func release() {
        isOpen = false
        functions.giveBack(helper)
    }

    private func flush() throws(TaskFault) {
        guard batch.count > 0 else { return }
        defer { batch.removeAll() }
        do throws(TaskFault) {
            try helper.send(.input, bytes: batch.bytes, role: role) { (answer) throws(TaskFault) in
                try take(answer)
            }
        } catch {
            release()
            throw error
        }
    }

    private func take(_ answer: FunctionAnswer) throws(TaskFault) {
        guard case .output(let pairs) = answer else {
            return try tally.take(answer, of: helper.function, role)
        }
        // `FunctionProcess` hands out whole pairs only.
        _ = try PackedPairs.forEach(in: pairs) { (key, value) throws(TaskFault) in
            try output.append(key: key, value: value)
        }
    }

    private func append(_ number: UInt32) {
        var bytes = number.littleEndian
        withUnsafeBytes(of: &bytes) { batch.append($0) }
    }

    @inline(__always)
    private func isCurrent(_ other: UnsafeRawBufferPointer) -> Bool {
        guard other.count == key.count else { return false }
        guard let start = other.baseAddress else { return true }
        return memcmp(start, key.base, other.count) == 0
    }
}
