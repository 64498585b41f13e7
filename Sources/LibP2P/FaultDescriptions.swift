// What is wrong with what a peer sent, in words, for the log and for people.

import Multiformats

extension IdentifyFault: CustomStringConvertible {
    /// What is wrong.
    package var description: String {
        switch self {
        case .delimited(let fault): fault.description
        case .malformed(let fault): "who it is cannot be read: \(fault)"
        case .tooManyMessages: "it said who it is in too many messages"
        case .truncated: "it ended before it had said who it is"
        }
    }
}

extension BitswapCodecFault: CustomStringConvertible {
    /// What is wrong.
    package var description: String {
        switch self {
        case .malformed(let fault): "a message of bitswap cannot be read: \(fault)"
        case .cid(let fault): "a CID in a message of bitswap is wrong: \(fault)"
        case .cidTooLong(let count): "a CID of \(count) bytes is too long"
        case .blockTooLong(let count): "a block of \(count) bytes is too long"
        case .tooManyEntries: "a message of bitswap has too many entries"
        }
    }
}

extension BitswapFault: CustomStringConvertible {
    /// What is wrong.
    package var description: String {
        switch self {
        case .nobodyHas(let cid, let count): "none of the \(count) peers asked gave \(cid)"
        case .allLack(let cid, let count): "all \(count) connected peers lack \(cid)"
        case .tooManyWants(let limit): "over \(limit) blocks are wanted at once"
        }
    }
}

extension PingFault: CustomStringConvertible {
    /// What is wrong.
    package var description: String {
        switch self {
        case .mismatch: "the echo has other bytes"
        case .unasked: "bytes came that answer no ping"
        case .timeout: "no answer in time"
        case .ended: "the stream ended"
        }
    }
}

extension YamuxOpenFault: CustomStringConvertible {
    /// What is wrong.
    package var description: String {
        switch self {
        case .closing: "the connection is ending"
        case .tooManyStreams: "too many streams are open"
        case .tooManyUnacknowledged: "too many streams wait for the peer"
        case .idsExhausted: "the connection has used all its stream numbers"
        }
    }
}
