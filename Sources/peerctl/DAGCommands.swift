import Multiformats
import PeerNode

/// `dag …`: whole DAGs as CAR files.
enum DAGCommands {
    static let export = Verb(
        name: "dag export",
        summary: "print a CAR of everything under a CID",
        operands: "CID",
        options: [.value("output", "o", "FILE", "write to a file")],
        example: "peerctl dag export bafybe… | ipfs dag import",
        operandCount: 1...1
    ) { call in
        let cid = try call.cid(call.operands[0])
        try await call.withNode { access in
            guard let path = call.arguments.value("output") else {
                let streams = call.streams
                return try await access.service.exportCAR(cid) { streams.bytes($0) }
            }
            let file = try OutputFile(path, call.streams)
            try await access.service.exportCAR(cid) { try file.write($0) }
            try file.commit()
        }
    }

    static let `import` = Verb(
        name: "dag import",
        summary: "store the blocks of CAR files and pin their roots",
        operands: "[PATH]…",
        options: [
            .flag("pin-roots", nil, "pin the roots (default true)"),
            .flag("stats", nil, "also print the number of blocks and bytes"),
        ],
        details: "Reads CAR versions 1 and 2. A damaged CAR imports nothing and says where it is damaged.",
        example: "ipfs dag export bafybe… | peerctl dag import",
        operandCount: 0...Int.max
    ) { call in
        try await call.withNode { access in
            for path in call.operands.isEmpty ? ["-"] : call.operands {
                let source = try FileTree.open(path) { _ in }
                let pins = call.arguments.flag("pin-roots", default: true)
                show(try await access.service.importCAR(source, pinsRoots: pins), call)
            }
        }
    }

    private static func show(_ report: ImportReport, _ call: Invocation) {
        if call.wantsJSON { return call.print(report.json) }
        for root in report.roots where report.isPinned {
            call.streams.line(call.isQuiet ? root.description : "Pinned root \(root) success")
        }
        if call.arguments.flag("stats") {
            call.streams.line("Imported \(report.blockCount) blocks (\(report.byteCount) bytes)")
        }
    }

    static let stat = Verb(
        name: "dag stat",
        summary: "count the distinct blocks under CIDs",
        operands: "CID…",
        example: "peerctl dag stat bafybe…",
        operandCount: 1...Int.max
    ) { call in
        let cids = try call.operands.map { try call.cid($0) }
        try await call.withNode { access in
            for cid in cids {
                let statistics = try await access.service.dagStatistics(cid)
                if call.wantsJSON {
                    call.print(
                        [
                            "cid": .string(cid.description), "blocks": .count(statistics.blockCount),
                            "bytes": .count(statistics.byteCount),
                        ])
                } else {
                    call.streams.line(
                        "\(cid) Size: \(statistics.byteCount), NumBlocks: \(statistics.blockCount)"
                    )
                }
            }
        }
    }
}
