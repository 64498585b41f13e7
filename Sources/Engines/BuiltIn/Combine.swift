import MRProtocol

/// Takes sorted pairs one after the other, and hands on what it makes of them.
protocol PairFold: AnyObject {
    /// Takes the next pair; keys come in byte order within a partition.
    func add(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) throws(TaskFault)
    /// Hands on what is left.
    func finish() throws(TaskFault)
}

/// What brings the pairs of a key together on their way into a run.
enum Combine {
    case none
    case builtIn(FoldKind)
    case function(FunctionCombine)

    init(_ kind: FoldKind?) { self = kind.map(Combine.builtIn) ?? .none }

    /// The fold of a built-in, or the one that changes nothing.
    var kind: FoldKind { if case .builtIn(let kind) = self { kind } else { .identity } }

    /// Starts a user function that combines all partitions of one run; `nil` for anything else.
    func begin(into run: RunFileWriter) throws(TaskFault) -> FunctionFold? {
        guard case .function(let function) = self else { return nil }
        return try function.begin(into: run)
    }
}
