import Glibc
import Multiformats
import PeerNode

/// `get`: files and directories out of the store.
enum GetCommand {
    static let verb = Verb(
        name: "get",
        summary: "write a file or a directory to disk",
        operands: "CID[/path]",
        options: [.value("output", "o", "PATH", "where to write (default: the last name, here)")],
        details: "Files appear whole or not at all; existing ones are replaced. `-o -` prints a file.",
        example: "peerctl get -o photos bafybe…",
        operandCount: 1...1
    ) { call in
        let path = try call.path(call.operands[0])
        let output = call.arguments.value("output") ?? path.names.last ?? path.root.description
        try await call.withNode { access in
            let info = try await call.session.waiting(for: "\(path)") {
                try await access.service.resolve(path)
            }
            var target = output
            if info.kind != .directory, call.arguments.value("output") != nil, FileTree.isDirectory(output) {
                target += "/" + (path.names.last ?? path.root.description)
            }
            if info.kind == .file {
                // Goes where `>` would put it.
                let file = try OutputFile(target, call.streams)
                try await access.service.read(ContentPath(root: info.cid), offset: 0, length: nil) {
                    try file.write($0)
                }
                try file.commit()
            } else if target == "-" {
                throw NodeError(.wrongKind, "\(path) is no file, so it cannot go to standard output")
            } else {
                try await TreeWriter(node: access.service).write(info, to: target)
            }
            if !call.isQuiet { call.streams.note("saved \(path) to \(target)") }
        }
    }
}
