import PeerNode

/// `id`: who the node is.
enum IdentityCommand {
    static let verb = Verb(
        name: "id",
        summary: "print this node's peer id and addresses",
        operands: "",
        example: "peerctl id",
        operandCount: 0...0
    ) { call in
        try await call.withNode { access in
            let identity = try await access.service.identity()
            if call.wantsJSON { return call.print(identity.json) }
            call.streams.line(identity.peerID)
            if call.isQuiet { return }
            for address in identity.addresses { call.streams.line(address) }
        }
    }
}

/// Commands about other nodes.
enum PeerCommands {
    static let peers = Verb(
        name: "peers",
        summary: "list other nodes",
        operands: "",
        example: "peerctl peers",
        operandCount: 0...0
    ) { call in
        try await call.withNode { access in
            let peers = try await access.service.peers()
            if call.wantsJSON { return call.print(["peers": .array(peers.map(\.json))]) }
            if call.isQuiet {
                for peer in peers { call.streams.line(peer.peerID) }
                return
            }
            let rows = peers.map { peer in
                [
                    peer.peerID, peer.state, peer.roundTripMilliseconds.map(milliseconds) ?? "-",
                    peer.slotCount.map { "\($0)" } ?? "-", peer.agent.isEmpty ? "-" : peer.agent,
                    peer.address,
                ]
            }
            for row in Table.aligned([["PEER", "STATE", "RTT", "SLOTS", "AGENT", "ADDRESS"]] + rows) {
                call.streams.line(row)
            }
        }
    }

    static let connect = Verb(
        name: "connect",
        summary: "connect to a node",
        operands: "MULTIADDR",
        example: "peerctl connect /ip4/192.168.1.20/tcp/4001/p2p/12D3KooW…",
        operandCount: 1...1
    ) { call in
        try await call.withNode { access in
            let before = try await access.service.peers().filter { $0.state == "connected" }
            let peer = try await call.session.waiting(for: call.operands[0]) {
                try await access.service.connect(call.operands[0])
            }
            let wasConnected = before.contains { $0.peerID == peer }
            if call.wantsJSON {
                call.print(["peerID": .string(peer)])
            } else {
                call.streams.line("\(wasConnected ? "already connected" : "connected") \(peer)")
            }
        }
    }

    static let disconnect = Verb(
        name: "disconnect",
        summary: "close the connections to a node",
        operands: "PEER",
        example: "peerctl disconnect 12D3KooW…",
        operandCount: 1...1
    ) { call in
        try await call.withNode { access in
            try await access.service.disconnect(call.operands[0])
            if call.wantsJSON {
                call.print(["peerID": .string(call.operands[0])])
            } else {
                call.streams.line("disconnected \(call.operands[0])")
            }
        }
    }

    static let ping = Verb(
        name: "ping",
        summary: "measure the round trip to a node",
        operands: "PEER",
        options: [.value("count", "n", "N", "how many times (default 4)")],
        example: "peerctl ping -n 1 12D3KooW…",
        operandCount: 1...1
    ) { call in
        let count = try call.number("count") ?? 4
        guard (1...1_000).contains(count) else { throw UsageError("--count is a number from 1 to 1000") }
        try await call.withNode { access in
            for _ in 0..<count {
                let time = try await call.session.waiting(for: "an answer of \(call.operands[0])") {
                    try await access.service.ping(call.operands[0])
                }
                if call.wantsJSON {
                    call.print(["milliseconds": .number(time)])
                } else {
                    call.streams.line("time=\(milliseconds(time))")
                }
            }
        }
    }

    private static func milliseconds(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) ms"
    }
}
