// What is wrong with messages, in words, for the people who read texts that quote these faults.

import Multiformats

extension MessageFault: CustomStringConvertible {
    /// What is wrong.
    package var description: String {
        switch self {
        case .tooLong(let count, let limit): "a message of \(count) bytes is over the limit of \(limit)"
        case .malformed: "it is no protobuf message"
        case .missing(let field): "field «\(field)» is missing"
        case .value(let field): "field «\(field)» has a wrong value, or too many of them"
        }
    }
}

extension SealedMessageFault: CustomStringConvertible {
    /// What is wrong.
    package var description: String {
        switch self {
        case .envelope(let fault): fault.description
        case .message(let fault): fault.description
        case .wrongSigner: "another peer signed it"
        }
    }
}

extension JobSpecFault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .notDagCBOR(let fault): "it is not dag-cbor: \(fault)"
        case .version(let version): "its version is \(version)"
        case .field(let field): "field «\(field)» is missing, unknown or wrong"
        }
    }
}
