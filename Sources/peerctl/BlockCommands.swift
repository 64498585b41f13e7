import Multiformats
import PeerNode

/// `block …`: single blocks.
enum BlockCommands {
    static let get = Verb(
        name: "block get",
        summary: "print the bytes of a block",
        operands: "CID",
        example: "peerctl block get bafybe… | xxd",
        operandCount: 1...1
    ) { call in
        let cid = try call.cid(call.operands[0])
        try await call.withNode { access in
            let bytes = try await access.service.block(cid)
            bytes.withUnsafeBytes { call.streams.bytes($0) }
        }
    }

    static let put = Verb(
        name: "block put",
        summary: "store blocks from files or standard input",
        operands: "[PATH]…",
        options: [
            .value("cid-codec", nil, "C", "raw (default), dag-pb or dag-cbor"),
            .value("format", nil, "C", "the same"),
            .value("mhtype", nil, "sha2-256", "for scripts of ipfs; no other value"),
            .flag("pin", nil, "keep the block (default false)"),
        ],
        example: "printf hello | peerctl block put",
        operandCount: 0...Int.max
    ) { call in
        try call.require("mhtype", "sha2-256")
        let name = call.arguments.value("cid-codec") ?? call.arguments.value("format") ?? "raw"
        guard let codec = codecs[name] else {
            throw UsageError("--cid-codec is raw, dag-pb or dag-cbor, not «\(name)»")
        }
        try await call.withNode { access in
            for path in call.operands.isEmpty ? ["-"] : call.operands {
                let source = try FileTree.open(path) { _ in }
                let bytes = try source.readAll(limit: 2 << 20, name: path)
                let block = try await access.service.putBlock(bytes, codec: codec)
                if call.arguments.flag("pin") { try await access.service.addPin(block.cid, name: "") }
                if call.wantsJSON { call.print(block.json) } else { call.streams.line(block.cid.description) }
            }
        }
    }

    private static let codecs: [String: UInt64] = ["raw": 0x55, "dag-pb": 0x70, "dag-cbor": 0x71]

    static let stat = Verb(
        name: "block stat",
        summary: "print a block's CID and size",
        operands: "CID…",
        example: "peerctl block stat bafkre…",
        operandCount: 1...Int.max
    ) { call in
        let cids = try call.operands.map { try call.cid($0) }
        try await call.withNode { access in
            for cid in cids {
                let block = try await access.service.blockInfo(cid)
                if call.wantsJSON {
                    call.print(block.json)
                } else {
                    call.streams.line("Key: \(block.cid)")
                    call.streams.line("Size: \(block.size)")
                }
            }
        }
    }

    static let remove = Verb(
        name: "block rm",
        summary: "remove blocks that no pin needs",
        operands: "CID…",
        options: [.flag("force", "f", "do not fail for blocks that are not here")],
        example: "peerctl block rm bafkre…",
        operandCount: 1...Int.max
    ) { call in
        let cids = try call.operands.map { try call.cid($0) }
        try await call.withNode { access in
            for cid in cids {
                do {
                    try await access.service.removeBlock(cid)
                    if call.wantsJSON {
                        call.print(["removed": .string(cid.description)])
                    } else if !call.isQuiet {
                        call.streams.line("removed \(cid)")
                    }
                } catch let error as NodeError where error.code == .notFound && call.arguments.flag("force") {
                    continue
                }
            }
        }
    }
}

extension DescriptorSource {
    /// Reads all of a short input.
    func readAll(limit: Int, name: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = try read(into: buffer)
            if count == 0 { return bytes }
            bytes += buffer.prefix(count)
            guard bytes.count <= limit else {
                throw NodeError(.invalidArgument, "\(name) is over \(limit) bytes")
            }
        }
    }
}
