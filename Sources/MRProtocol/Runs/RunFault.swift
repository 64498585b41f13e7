/// Why bytes are not a run file.
public enum RunFault: Error, Equatable, Sendable {
    /// The file ends inside something.
    case truncated
    /// The last bytes are not those of a run file.
    case notARun
    /// A run file of another version.
    case unsupportedVersion(UInt8)
    /// The index contradicts itself, the footer or the job.
    case badIndex
    /// A pair reaches over the end of its partition, or its lengths are not minimal varints.
    case badPair
    /// A key is smaller than the one before it.
    case unsorted
    /// The partition holds more or fewer pairs than the index says.
    case wrongPairCount
}

extension RunFault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .truncated: "the run file ends early"
        case .notARun: "it is not a run file"
        case .unsupportedVersion(let version): "it is a run file of version \(version)"
        case .badIndex: "the index of the run file is wrong"
        case .badPair: "a pair of the run file is wrong"
        case .unsorted: "the keys of the run file are not in order"
        case .wrongPairCount: "the run file has more or fewer pairs than it says"
        }
    }
}
