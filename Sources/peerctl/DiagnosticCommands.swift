import PeerNode

/// Commands for tests and benchmarks; help does not list them.
enum DiagnosticCommands {
    static let echo = Verb(
        name: "diag echo",
        summary: "send bytes to a node that runs with --diagnostics, and check what comes back",
        operands: "PEER",
        options: [
            .value("size", nil, "SIZE", "how many bytes (default 1M)"),
            .flag("half-close", nil, "end our side first, and read to the end of theirs"),
        ],
        example: "peerctl diag echo --size 64M 12D3KooW…",
        operandCount: 1...1,
        isHidden: true
    ) { call in
        let size = try call.size("size") ?? 1 << 20
        let halfCloses = call.arguments.flag("half-close")
        try await call.withNode { access in
            let count = try await access.service.echo(
                call.operands[0],
                byteCount: size,
                halfCloses: halfCloses
            )
            if call.wantsJSON {
                call.print(["bytes": .count(count)])
            } else {
                call.streams.line("echoed \(count) bytes")
            }
        }
    }
}
