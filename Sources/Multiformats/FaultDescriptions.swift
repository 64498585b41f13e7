// What is wrong with bytes, in words, for the people who read messages that quote these faults.

extension VarintFault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .tooLong: "a number is too long"
        case .notMinimal: "a number is not in its shortest form"
        }
    }
}

extension CIDFault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .truncated: "it ends early"
        case .trailingBytes(let count): "\(count) bytes follow it"
        case .version(let version): "its version is \(version), not 0 or 1"
        case .varint(let fault): fault.description
        case .digestLength(let function, let byteCount):
            "a hash of \(byteCount) bytes is not one of function \(function)"
        case .multibase(let prefix): "«\(prefix)» begins no known text form"
        }
    }
}

extension Protobuf.Fault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .truncated: "the message ends early"
        case .varintTooLong: "a number in the message is too long"
        case .fieldNumber(let number): "there is no field \(number) in a message"
        case .wireType(let type): "wire type \(type) is unknown"
        }
    }
}

extension DagPBFault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .dataBetweenLinks: "its data stand between links"
        case .repeatedField(let number): "field \(number) comes twice"
        case .unexpectedField(let number): "field \(number) is unknown"
        case .fieldOrder(let number): "field \(number) comes out of order"
        case .linkWithoutHash: "a link has no CID"
        case .cid(let fault): "the CID of a link is wrong: \(fault)"
        case .protobuf(let fault): fault.description
        }
    }
}

extension UnixFSFault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .noKind: "it does not say what it is"
        case .kind(let kind): "kind \(kind) is unknown"
        case .wireType(let field): "field \(field) has the wrong type"
        case .fanout(let fanout): "a fanout of \(fanout) is not supported"
        case .nanoseconds(let count): "\(count) nanoseconds are over a second"
        case .protobuf(let fault): fault.description
        }
    }
}

extension DagCBORFault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .truncated: "it ends early"
        case .trailingBytes(let count): "\(count) bytes follow it"
        case .notShortest: "a number is not in its shortest form"
        case .indefiniteLength: "an item has no length"
        case .tag(let tag): "tag \(tag) is not allowed; only 42 is"
        case .simpleValue(let value): "simple value \(value) is not allowed"
        case .notFinite: "a number is infinite or none"
        case .utf8: "a text is not UTF-8"
        case .keyNotString: "the key of a map is no text"
        case .keyOrder: "the keys of a map are not in order"
        case .depth(let limit): "it nests deeper than \(limit)"
        case .link(let fault): "a link is wrong" + (fault.map { ": \($0)" } ?? "")
        }
    }
}

extension PeerIDFault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .multihash(let fault): "its hash is wrong: \(fault)"
        case .hashFunction(let function): "hash function \(function) is not one of peer ids"
        case .inlineKeyLength(let count): "a key of \(count) bytes is too long to stand in it"
        case .codec(let codec): "its codec is \(codec), not libp2p-key"
        case .text: "it is neither base58 nor the text of a CID"
        case .textLength(let count): "a text of \(count) characters is too long"
        }
    }
}

extension DelimitedFault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .length(let fault): "the length of a message is wrong: \(fault)"
        case .tooLong(let count, let limit): "a message of \(count) bytes is over the limit of \(limit)"
        }
    }
}

extension PublicKeyFault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .malformed(let fault): "the key cannot be read: \(fault)"
        case .unsupportedType(let type): "a key of type \(type) is not Ed25519"
        case .length(let count): "a key of \(count) bytes is not Ed25519"
        }
    }
}

extension EnvelopeFault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .tooLong(let count): "a signed message of \(count) bytes is too long"
        case .malformed(let fault): "the signed message cannot be read: \(fault)"
        case .publicKey(let fault): "its signer is unknown: \(fault)"
        case .payloadType: "something else is signed"
        case .signatureLength(let count): "a signature of \(count) bytes is not Ed25519"
        case .signature: "the signature is wrong"
        }
    }
}

extension PeerRecordFault: CustomStringConvertible {
    /// What is wrong.
    public var description: String {
        switch self {
        case .envelope(let fault): fault.description
        case .malformed(let fault): "the peer record cannot be read: \(fault)"
        case .peer(let fault): "its peer id is wrong: \(fault)"
        case .wrongSigner: "another peer signed it"
        }
    }
}
