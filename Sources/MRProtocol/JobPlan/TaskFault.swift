public import Multiformats

/// Why an attempt failed.
public enum TaskFault: Error, Equatable, Sendable {
    /// A record is over the limit; `byteCount` is how far it was read.
    case recordTooLong(file: String, offset: UInt64, limit: Int)
    /// A block is nowhere to be had, or does not match its CID.
    case blockUnavailable(CID, file: String, offset: UInt64, reason: String)
    /// A map output is gone or is not a run file.
    case mapOutputUnavailable(CID, reason: String)
    /// A run file given to a reduce or merge, by its position among them, is not one.
    case malformedMapOutput(runIndex: Int, reason: String)
    /// An argument of a function is missing or wrong.
    case argument(name: String, reason: String)
    /// A function failed on a record.
    case function(name: String, file: String, offset: UInt64, reason: String)
    /// A user function failed.
    case userFunction(FunctionFailure)
    /// Bytes are not what the record format needs.
    case malformedInput(file: String, offset: UInt64, reason: String)
    /// A value is not what the reduce needs, such as a number for `sum`.
    case malformedValue(key: [UInt8], reason: String)
    /// The store could not take what the attempt wrote.
    case store(String)
    case cancelled
}
