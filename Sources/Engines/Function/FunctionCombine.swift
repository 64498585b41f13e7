import FunctionProtocol
import MRProtocol

/// A user function that combines the pairs of a run, all partitions of it in one attempt.
final class FunctionCombine {
    private let functions: JobFunctions
    private let function: LoadedFunction
    private let partitionCount: Int
    private let seed: [UInt8]
    private let limits: AttemptLimits
    let tally: FunctionTally

    init(
        _ functions: JobFunctions,
        _ function: LoadedFunction,
        partitionCount: Int,
        seed: [UInt8],
        limits: AttemptLimits,
        tally: FunctionTally
    ) {
        self.functions = functions
        self.function = function
        self.partitionCount = partitionCount
        self.seed = seed
        self.limits = limits
        self.tally = tally
    }

    /// Starts combining into `run`; pairs have to be added partition by partition.
    func begin(into run: RunFileWriter) throws(TaskFault) -> FunctionFold {
        let output = CombinedPairs(run, partitionCount: partitionCount, function: function)
        return try FunctionFold(
            functions,
            function.reference,
            start: TaskStart(role: .combine, seed: seed),
            limits: limits,
            tally: tally,
            output: output
        ) { key in output.expect(key) }
    }
}

/// Takes what a combine emits: pairs of the keys that it was given, in their order, for anything else would break the
/// order of the run.
private final class CombinedPairs: PairOutput {
    /// Keys on their way through the function that are remembered; beyond it only their order is checked.
    static let maxExpectedCount = 1 << 22

    private let run: RunFileWriter
    private let partitionCount: Int
    private let function: LoadedFunction
    /// Hashes of the keys that were given and may still be emitted, from `head` on.
    private var expected: [UInt64] = []
    private var head = 0
    private var isExact = true
    private var partition = -1
    private let lastKey = GrowingBytes()

    init(_ run: RunFileWriter, partitionCount: Int, function: LoadedFunction) {
        self.run = run
        self.partitionCount = partitionCount
        self.function = function
    }

    func expect(_ key: UnsafeRawBufferPointer) {
        if expected.count - head >= CombinedPairs.maxExpectedCount {
            isExact = false
            expected = []
            head = 0
        }
        if isExact { expected.append(Partitioner.hash(key)) }
    }

    func append(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) throws(TaskFault) {
        let hash = Partitioner.hash(key)
        let place = partitionCount == 1 ? 0 : Int(hash % UInt64(partitionCount))
        if place != partition {
            guard place > partition else { throw wrongKey(key) }
            partition = place
            run.begin(partition: place)
        } else if ValueOrder.isLessByBytes(key, lastKey.bytes) {
            throw wrongKey(key)
        }
        guard !isExact || isExpected(hash) else { throw wrongKey(key) }
        lastKey.removeAll()
        lastKey.append(key)
        try run.append(key: key, value: value)
    }

    /// Whether a key of that hash was given, not before the one emitted last.
    private func isExpected(_ hash: UInt64) -> Bool {
        while head < expected.count, expected[head] != hash { head += 1 }
        if head >= 4_096, 2 * head >= expected.count {
            expected.removeFirst(head)
            head = 0
        }
        return head < expected.count
    }

    private func wrongKey(_ key: UnsafeRawBufferPointer) -> TaskFault {
        .userFunction(
            FunctionFailure(
                .wrongOutput,
                function: function.label,
                role: FunctionRole.combine.label,
                message:
                    "it emitted a key that it was not given, or not in this order; a combine emits pairs of its own "
                    + "key only",
                excerpt: Array(key.prefix(FunctionFailure.maxExcerptByteCount))
            )
        )
    }
}
