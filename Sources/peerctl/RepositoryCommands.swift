import Multiformats
import PeerNode

/// `repo …`: the store as a whole.
enum RepositoryCommands {
    static let stat = Verb(
        name: "repo stat",
        summary: "print what the store holds",
        operands: "",
        options: [.flag("human", "H", "sizes in KiB, MiB …"), .flag("size-only", "s", "only the sizes")],
        example: "peerctl repo stat -H",
        operandCount: 0...0
    ) { call in
        try await call.withNode { access in
            let figures = try await access.service.repositoryStatistics()
            if call.wantsJSON { return call.print(figures.json) }
            let isHuman = call.arguments.flag("human")
            func size(_ bytes: UInt64) -> String { isHuman ? ByteSize.format(bytes) : "\(bytes)" }
            var rows = [
                ("RepoSize:", size(figures.byteCount)),
                ("StorageMax:", figures.byteLimit.map(size) ?? "unlimited"),
                ("RememberedSize:", size(figures.rememberedByteCount)),
            ]
            if !call.arguments.flag("size-only") {
                rows.insert(("NumObjects:", "\(figures.blockCount)"), at: 0)
                rows += [
                    ("NumPins:", "\(figures.pinCount)"), ("NumRemembered:", "\(figures.rememberedCount)"),
                    ("Quarantined:", "\(figures.quarantinedCount)"),
                    ("RepoPath:", figures.path), ("Version:", "peernode@\(Version.text)"),
                ]
            }
            for row in Table.aligned(rows.map { [$0.0, $0.1] }) { call.streams.line(row) }
        }
    }

    static let collect = Verb(
        name: "repo gc",
        summary: "remove what no pin, add or job needs",
        operands: "",
        options: [.flag("remembered", nil, "first forget all remembered outputs of jobs")],
        details: """
            Outputs of jobs are remembered, so that a job over the same blocks need not run again; `repo stat` says how
            many. They go by themselves, oldest first, when the store is full or there are over 4 GiB of them.
            """,
        example: "peerctl repo gc --remembered",
        operandCount: 0...0
    ) { call in
        try await call.withNode { access in
            let (isQuiet, isJSON) = (call.isQuiet, call.wantsJSON)
            let forgets = call.arguments.flag("remembered")
            let report = try await access.service.collectGarbage(forgetsOutputs: forgets) { cid in
                if isJSON {
                    call.print(["removed": .string(cid.description)])
                } else {
                    call.streams.line(isQuiet ? cid.description : "removed \(cid)")
                }
            }
            if isJSON {
                call.print(["done": report.json])
            } else if !isQuiet {
                call.streams.flush()
                call.streams.note(
                    "removed \(report.removedCount) blocks, \(ByteSize.format(report.removedByteCount))"
                )
            }
            if !isJSON { for warning in report.warnings { call.streams.note(warning) } }
            guard report.warnings.isEmpty else {
                throw NodeError(
                    .corrupt,
                    "nothing was collected, as \(report.warnings.count) pinned DAGs lack a block or have a damaged one; "
                        + "mend or unpin them first"
                )
            }
        }
    }

    static let verify = Verb(
        name: "repo verify",
        summary: "read and check every block",
        operands: "",
        details: "Blocks that do not match their CID are put aside and listed; exit code 1 if there are any.",
        example: "peerctl repo verify",
        operandCount: 0...0
    ) { call in
        try await call.withNode { access in
            let streams = call.streams
            let showsProgress = streams.hasTerminal && !call.isQuiet
            let report = try await access.service.verify { count in
                if showsProgress { streams.error("\r\u{1b}[K\(count) blocks checked") }
            }
            if showsProgress { streams.error("\r\u{1b}[K") }
            if call.wantsJSON { call.print(report.json) } else { show(report, call) }
            guard report.corrupt.isEmpty, report.missing.isEmpty else {
                throw NodeError(
                    .corrupt,
                    "\(report.corrupt.count) blocks are damaged and \(report.missing.count) missing; add or import their files again"
                )
            }
        }
    }

    private static func show(_ report: VerificationReport, _ call: Invocation) {
        for cid in report.corrupt {
            let pin = report.neededBy[cid].map { "; pin \($0) needs it" } ?? ""
            call.streams.line("block \(cid) was corrupt\(pin)")
        }
        for cid in report.missing {
            call.streams.line("block \(cid) is missing under pin \(report.neededBy[cid] ?? "?")")
        }
        if !call.isQuiet, report.corrupt.isEmpty, report.missing.isEmpty {
            call.streams.line("verify complete, all \(report.checkedCount) blocks validated.")
        }
    }
}

/// Columns of text.
enum Table {
    /// Pads the columns so that they stand below each other; a row is one line, whatever its texts hold.
    static func aligned(_ rows: [[String]]) -> [String] {
        let rows = rows.map { $0.map(TerminalText.oneLine) }
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.compactMap { column < $0.count ? $0[column].count : nil }.max() ?? 0
        }
        return rows.map { row in
            let last = row.lastIndex { !$0.isEmpty } ?? 0
            return row[...last].enumerated().map { column, text in
                column == last
                    ? text : text + String(repeating: " ", count: widths[column] - text.count)
            }.joined(separator: "  ")
        }
    }
}
