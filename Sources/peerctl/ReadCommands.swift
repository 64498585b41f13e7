import Multiformats
import PeerNode

/// `cat`: the bytes of files.
enum CatCommand {
    static let verb = Verb(
        name: "cat",
        summary: "print the bytes of files",
        operands: "CID[/path]…",
        options: [
            .value("offset", "o", "N", "start at this byte of the file"),
            .value("length", "l", "N", "print at most this many bytes"),
        ],
        example: "peerctl cat -o 1M -l 100 bafybe…/book.txt",
        operandCount: 1...Int.max
    ) { call in
        let paths = try call.operands.map { try call.path($0) }
        let (offset, length) = (try call.size("offset") ?? 0, try call.size("length"))
        try await call.withNode { access in
            let streams = call.streams
            for path in paths {
                try await call.session.waiting(for: "\(path)") {
                    try await access.service.read(path, offset: offset, length: length) { streams.bytes($0) }
                }
            }
        }
    }
}

/// `ls`: the entries of directories.
enum ListCommand {
    static let verb = Verb(
        name: "ls",
        summary: "list directories",
        operands: "CID[/path]…",
        details: "Prints `CID SIZE NAME`; a directory has the size - and a / behind its name.",
        example: "peerctl ls bafybe…/photos",
        operandCount: 1...Int.max
    ) { call in
        let paths = try call.operands.map { try call.path($0) }
        try await call.withNode { access in
            for path in paths {
                let entries = try await call.session.waiting(for: "\(path)") {
                    try await access.service.list(path)
                }
                if paths.count > 1, !call.wantsJSON, !call.isQuiet { call.streams.line("\(path):") }
                for entry in entries { show(entry, call) }
            }
        }
    }

    private static func show(_ entry: ContentEntry, _ call: Invocation) {
        if call.wantsJSON { return call.print(entry.json) }
        if call.isQuiet { return call.streams.line(entry.cid.description) }
        let isDirectory = entry.kind == .directory
        let size = isDirectory ? "-" : "\(entry.size)"
        let name = entry.name + (isDirectory ? "/" : "")
        call.streams.line("\(entry.cid) \(size)" + (name.isEmpty ? "" : " \(name)"))
    }
}
