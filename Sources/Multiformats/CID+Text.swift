extension CID: CustomStringConvertible, LosslessStringConvertible {
    /// The text form: base32 lower case for v1 (`bafy…`), bare base58btc for v0 (`Qm…`).
    public var description: String {
        version == .v0 ? Base58.encode(bytes) : "b" + Base32.encode(bytes)
    }

    /// Parses any accepted text form; `nil` when it is none.
    public init?(_ description: String) {
        // The fault is of no use to this caller.
        guard let cid = try? CID(parsing: description) else { return nil }
        self = cid
    }
}

extension CID {
    /// Parses the text of a CID: `Qm…`, or multibase base32, base58btc, base36 or base16; a leading `/ipfs/` or
    /// `ipfs://` is dropped.
    ///
    /// - Throws: `CIDFault` saying what is wrong.
    public init(parsing text: String) throws(CIDFault) {
        var characters = Array(text.utf8)[...]
        for prefix in ["/ipfs/", "ipfs://"] where characters.starts(with: prefix.utf8) {
            characters = characters.dropFirst(prefix.utf8.count)
        }
        if characters.count == 46, characters.starts(with: "Qm".utf8) {
            guard let bytes = Base58.decode(characters) else { throw .multibase("not base58btc") }
            try self.init(bytes: bytes)
            return
        }
        let bytes = try Multibase.decode(characters)
        if bytes.first == 0x12 { throw .version(0) }
        try self.init(bytes: bytes)
    }
}
