import Multiformats
import PeerNode

/// `pin …`: what garbage collection keeps.
enum PinCommands {
    static let add = Verb(
        name: "pin add",
        summary: "keep CIDs and all below them",
        operands: "CID…",
        options: [
            .value("name", "n", "NAME", "name of the pin"),
            .flag("recursive", "r", "for scripts of ipfs; always so"),
        ],
        details: "A name keeps one CID: given to another, it moves there, which is said.",
        example: "peerctl pin add --name=books bafybe…",
        operandCount: 1...Int.max
    ) { call in
        try call.require("recursive", "true")
        let cids = try call.operands.map { try call.cid($0) }
        let name = call.arguments.value("name") ?? ""
        if cids.count > 1, !name.isEmpty { throw UsageError("--name goes with one CID") }
        try PinInfo.checkName(name)
        try await call.withNode { access in
            let former = try await holder(of: name, other: cids[0], access.service)
            for cid in cids {
                try await call.session.waiting(for: "the blocks of \(cid)") {
                    try await access.service.addPin(cid, name: name)
                }
                show(cid, "pinned \(cid) recursively", call)
            }
            if let former {
                call.streams.flush()
                call.streams.note(
                    "peerctl: the name \(name) moved from \(former), which it no longer keeps; "
                        + "`peerctl pin add \(former)` keeps it as well"
                )
            }
        }
    }

    /// The root that a name keeps now, if that is another one: a name keeps one root, unlike those of ipfs.
    private static func holder(
        of name: String,
        other cid: CID,
        _ node: any NodeService
    ) async throws -> CID? {
        guard !name.isEmpty else { return nil }
        return try await node.pins().first { $0.name == name && $0.cid.multihash != cid.multihash }?.cid
    }

    static let remove = Verb(
        name: "pin rm",
        summary: "no longer keep CIDs",
        operands: "CID…",
        options: [.flag("recursive", "r", "for scripts of ipfs; always so")],
        example: "peerctl pin rm bafybe… && peerctl repo gc",
        operandCount: 1...Int.max
    ) { call in
        let cids = try call.operands.map { try call.cid($0) }
        try await call.withNode { access in
            for cid in cids {
                try await access.service.removePin(cid)
                show(cid, "unpinned \(cid)", call)
            }
        }
    }

    private static func show(_ cid: CID, _ text: String, _ call: Invocation) {
        if call.wantsJSON { return call.print(["cid": .string(cid.description)]) }
        call.streams.line(call.isQuiet ? cid.description : text)
    }

    static let list = Verb(
        name: "pin ls",
        summary: "list what is kept",
        operands: "[CID]…",
        options: [
            .flag("names", "n", "also print the names"),
            .value("type", "t", "recursive", "for scripts of ipfs: recursive or all"),
        ],
        example: "peerctl pin ls --names",
        operandCount: 0...Int.max
    ) { call in
        if let type = call.arguments.value("type"), type != "recursive", type != "all" {
            throw UsageError("--type=\(type) is not supported: pins are recursive, and only roots are listed")
        }
        let wanted = Set(try call.operands.map { try call.cid($0) })
        try await call.withNode { access in
            let pins = try await access.service.pins().filter { wanted.isEmpty || wanted.contains($0.cid) }
            let found = Set(pins.map(\.cid))
            if let missing = wanted.first(where: { !found.contains($0) }) {
                throw NodeError(.notFound, "\(missing) is not pinned")
            }
            if call.wantsJSON || call.arguments.flag("names") {
                for pin in pins { show(pin, call) }
            } else {  // a CID may have several pins, which only their names tell apart
                var shown: Set<CID> = []
                for pin in pins where shown.insert(pin.cid).inserted { show(pin, call) }
            }
        }
    }

    private static func show(_ pin: PinInfo, _ call: Invocation) {
        if call.wantsJSON { return call.print(pin.json) }
        if call.isQuiet { return call.streams.line(pin.cid.description) }
        let name = call.arguments.flag("names") && !pin.name.isEmpty ? " \(pin.name)" : ""
        call.streams.line("\(pin.cid) recursive\(name)")
    }
}
