import Glibc
import Multiformats
import PeerNode

/// Walks over files and adds them to a node.
struct Adder: Sendable {
    let call: Invocation
    let node: any NodeService
    /// What is printed for each entry; `nil`: nothing.
    var report: (@Sendable (_ name: String, _ node: AddedNode, _ isRoot: Bool) -> Void)?
    private let progress: ProgressLine
    private let takesHidden: Bool
    private let recurses: Bool
    /// Links and pipes that the user names are read, as `grep` reads them, and not kept as what they are.
    private let readsThrough: Bool

    init(call: Invocation, node: any NodeService, printsEntries: Bool = true, readsThrough: Bool = false) {
        self.call = call
        self.node = node
        self.readsThrough = readsThrough
        takesHidden = call.arguments.flag("hidden")
        recurses = call.arguments.flag("recursive")
        let streams = call.streams
        let wanted = call.arguments.flag("progress", default: streams.hasTerminal && !call.isQuiet)
        progress = ProgressLine(streams: streams, isShown: wanted)
        guard printsEntries else { return }
        let (isJSON, isQuiet) = (call.wantsJSON, call.isQuiet)
        let isLastOnly = call.arguments.flag("quieter") || call.arguments.flag("wrap-with-directory")
        report = { [progress] name, node, isRoot in
            progress.clear()
            if isJSON {
                call.print([
                    "name": .string(name), "cid": .string(node.cid.description), "size": .count(node.size),
                ])
            } else if isQuiet {
                if isRoot, !isLastOnly { streams.line(node.cid.description) }
            } else {
                streams.line("added \(node.cid)" + (name.isEmpty ? "" : " \(name)"))
            }
        }
    }

    /// Adds every path, in order, and pins the roots.
    ///
    /// - Returns: the roots.
    @discardableResult
    func add(_ paths: [String], profile: ImportProfile) async throws -> [NewEntry] {
        for path in paths { try check(path) }
        let session = try await node.beginAdd(onlyHash: call.arguments.flag("only-hash"), profile: profile)
        let (node, streams, progress) = (node, call.streams, progress)
        call.session.onInterrupt { _ in
            try? await node.abandonAdd(session)  // a lease that cannot be given up ends by itself
            progress.clear()
            streams.note("nothing was added")
        }
        defer { call.session.onInterrupt(nil) }
        do {
            return try await add(paths, session)
        } catch {
            try? await node.abandonAdd(session)  // the first error is the one to show
            throw error
        }
    }

    /// What is below a root is reported as it is added; the roots when they are on the disk.
    private func add(_ paths: [String], _ session: AddSession) async throws -> [NewEntry] {
        progress.total = progress.isShown ? paths.reduce(0) { $0 + FileTree.byteCount($1, takesHidden) } : 0
        var roots: [NewEntry] = []
        for path in paths {
            let name = path == "-" ? "" : FileTree.baseName(path)
            let added = try await addItem(path, name: name, depth: 0, session)
            roots.append(NewEntry(name: name.isEmpty ? added.cid.description : name, node: added))
        }
        var reported = zip(paths, roots).map { path, root in
            (name: path == "-" ? root.node.cid.description : root.name, node: root.node)
        }
        if call.arguments.flag("wrap-with-directory") {
            let wrapper = try await node.addDirectory(roots, in: session)
            reported.append((name: "", node: wrapper))
            roots = [NewEntry(name: "", node: wrapper)]
        }
        let isPinned = call.arguments.flag("pin", default: true)
        let name = call.arguments.value("pin-name") ?? ""
        let pins = roots.enumerated().map { index, root in
            PinInfo(cid: root.node.cid, name: index == 0 || name.isEmpty ? name : "\(name)-\(index + 1)")
        }
        try await node.finishAdd(session, pins: isPinned ? pins : [])
        progress.clear()
        for root in reported { report?(root.name, root.node, true) }
        if report != nil, call.isQuiet, !call.wantsJSON,
            call.arguments.flag("quieter") || roots.first?.name == "",
            let last = roots.last
        {
            call.streams.line(last.node.cid.description)
        }
        return roots
    }

    /// Refuses what cannot be added before anything is.
    private func check(_ path: String) throws {
        guard path != "-" else { return }
        switch try FileTree.kind(path, follow: readsThrough) {
        case .directory where !recurses:
            throw NodeError(.file, "\(path) is a directory; \(call.verb.name) takes it with -r")
        case .stream where !readsThrough, .special: throw FileTree.special(path)
        case .file, .directory, .symlink, .stream: break
        }
    }

    private func addItem(
        _ path: String,
        name: String,
        depth: Int,
        _ session: AddSession
    ) async throws -> AddedNode {
        let added: AddedNode
        let readsThrough = readsThrough && depth == 0
        switch path == "-" ? .file : try FileTree.kind(path, follow: readsThrough) {
        case .file: added = try await addFile(path, session)
        case .symlink: added = try await node.addSymlink(target: try FileTree.target(path), in: session)
        case .directory: added = try await addDirectory(path, name, depth, session)
        case .stream where readsThrough: added = try await addFile(path, session)
        case .stream, .special: throw FileTree.special(path)
        }
        // Ctrl-C also ends the program that feeds a pipe: what came of it is not the whole.
        if call.session.isInterrupted { throw NodeError(.cancelled, "interrupted") }
        if depth > 0 { report?(name, added, false) }
        return added
    }

    private func addFile(_ path: String, _ session: AddSession) async throws -> AddedNode {
        let source = try FileTree.open(path) { [progress] in progress.advance($0) }
        return try await node.addFile(source, in: session)
    }

    private func addDirectory(
        _ path: String,
        _ name: String,
        _ depth: Int,
        _ session: AddSession
    ) async throws -> AddedNode {
        guard depth < FileTree.depthLimit else { throw FileTree.tooDeep(path) }
        var entries: [NewEntry] = []
        for entry in try FileTree.entries(path, hidden: takesHidden) {
            let added = try await addItem(
                "\(path)/\(entry)",
                name: "\(name)/\(entry)",
                depth: depth + 1,
                session
            )
            entries.append(NewEntry(name: entry, node: added))
        }
        return try await node.addDirectory(entries, in: session)
    }
}
