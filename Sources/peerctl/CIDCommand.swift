import Multiformats
import PeerNode

/// `cid`: CIDs in their other forms.
enum CIDCommand {
    static let verb = Verb(
        name: "cid",
        summary: "convert and explain CIDs",
        operands: "CID…",
        options: [
            .value("version", "v", "N", "print it as CIDv0 or CIDv1"),
            .value("base", "b", "B", "print it in base32, base58btc or base16"),
        ],
        details: "Without options prints version, codec, hash and both text forms.",
        example: "peerctl cid -v 1 QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn",
        operandCount: 1...Int.max
    ) { call in
        let (version, base) = (try call.number("version"), call.arguments.value("base"))
        for text in call.operands {
            let cid = try call.cid(text)
            if version == nil, base == nil {
                explain(cid, call)
            } else {
                call.streams.line(try convert(cid, version, base))
            }
        }
    }

    private static func convert(_ cid: CID, _ version: UInt64?, _ base: String?) throws -> String {
        var converted = cid
        switch version {
        case nil: break
        case 0: converted = try versionZero(cid)
        case 1: converted = CID(codec: cid.codec, multihash: cid.multihash)
        case .some(let other): throw UsageError("there is no CID version \(other); it is 0 or 1")
        }
        switch base {
        case nil: return converted.description
        case "base32": return "b" + Base32.encode(CID(codec: cid.codec, multihash: cid.multihash).bytes)
        case "base58btc":
            return converted.version == .v0 ? converted.description : "z" + Base58.encode(converted.bytes)
        case "base16":
            return "f" + Hex.encode(CID(codec: cid.codec, multihash: cid.multihash).bytes)
        case .some(let other): throw UsageError("--base is base32, base58btc or base16, not «\(other)»")
        }
    }

    private static func versionZero(_ cid: CID) throws -> CID {
        guard cid.codec == .dagPB, cid.multihash.code == Multihash.sha256Code else {
            throw NodeError(.conflict, "\(cid) has no version 0: that is dag-pb with sha2-256 only")
        }
        return CID.v0(cid.multihash)
    }

    private static func explain(_ cid: CID, _ call: Invocation) {
        let isZero = cid.codec == .dagPB && cid.multihash.code == Multihash.sha256Code
        let one = CID(codec: cid.codec, multihash: cid.multihash)
        let zero = isZero ? CID.v0(cid.multihash).description : nil
        let codec = codecName(cid.codec)
        let hash =
            cid.multihash.code == Multihash.sha256Code
            ? "sha2-256" : "0x\(String(cid.multihash.code, radix: 16))"
        let digest = Hex.encode(Array(cid.multihash.digest))
        if call.wantsJSON {
            return call.print([
                "cid": .string(cid.description), "version": .count(cid.version == .v0 ? 0 : 1),
                "codec": .string(codec), "hash": .string(hash), "digest": .string(digest),
                "v1": .string(one.description), "v0": .string(orNull: zero),
            ])
        }
        let rows = [
            ["version", cid.version == .v0 ? "0" : "1"], ["codec", codec], ["hash", hash],
            ["digest", digest],
            ["v1", one.description], ["v0", zero ?? "none"],
        ]
        for row in Table.aligned(rows) { call.streams.line(row) }
    }

    private static func codecName(_ codec: CID.Codec) -> String {
        switch codec {
        case .raw: "raw"
        case .dagPB: "dag-pb"
        case .dagCBOR: "dag-cbor"
        default: "0x\(String(codec.code, radix: 16))"
        }
    }
}

/// Bytes as hexadecimal digits.
enum Hex {
    static func encode(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
