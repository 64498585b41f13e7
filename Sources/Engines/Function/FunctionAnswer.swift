package import FunctionProtocol

/// What a function says while an attempt runs.
package enum FunctionAnswer {
    /// Packed pairs (`PackedPairs`), whole, in the order of emission; valid only inside the call.
    case output(UnsafeRawBufferPointer)
    case counter(CounterIncrement)
    /// A piece of the attempt's log; valid only inside the call.
    case log(UnsafeRawBufferPointer)
    case status(String)
    /// A record was skipped because of this fault.
    case skipped(FunctionFault)
}
