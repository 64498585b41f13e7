import MRProtocol

/// Takes pairs one after the other.
protocol PairOutput: AnyObject {
    /// Takes a copy of a pair; `nil`: it has no value.
    func append(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) throws(TaskFault)
}
