extension NodeError: JSONMessage {
    package var json: JSON { ["error": ["code": .string(code.rawValue), "message": .string(message)]] }

    package init(json: JSON) throws(NodeError) {
        guard let error = json["error"] else {
            throw NodeError(.internal, "the daemon's answer is not understood")
        }
        let fields = try JSONFields(error, of: "error")
        self.init(
            Code(rawValue: try fields.text("code")) ?? .internal,
            try fields.text("message")
        )
    }
}

extension NodeIdentity: JSONMessage {
    package var json: JSON {
        [
            "peerID": .string(peerID), "addresses": .array(addresses.map(JSON.string)),
            "agent": .string(agent),
            "protocols": .array(protocols.map(JSON.string)),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "identity")
        self.init(
            peerID: try fields.text("peerID"),
            addresses: try fields.texts("addresses"),
            agent: try fields.text("agent"),
            protocols: try fields.texts("protocols")
        )
    }
}

extension PeerInfo: JSONMessage {
    package var json: JSON {
        [
            "peerID": .string(peerID), "address": .string(address), "state": .string(state),
            "roundTripMilliseconds": roundTripMilliseconds.map(JSON.number) ?? .null,
            "agent": .string(agent), "slots": slotCount.map(JSON.count) ?? .null,
            "busySlots": busySlotCount.map(JSON.count) ?? .null,
            "protocols": .array(protocols.map(JSON.string)),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "peer")
        self.init(
            peerID: try fields.text("peerID"),
            address: try fields.text("address"),
            state: try fields.text("state"),
            roundTripMilliseconds: fields.optional("roundTripMilliseconds")?.double,
            agent: try fields.text("agent"),
            slotCount: fields.optional("slots")?.int
        )
        busySlotCount = fields.optional("busySlots")?.int
        protocols = try fields.texts("protocols")
    }
}

extension NodeStatus: JSONMessage {
    package var json: JSON {
        [
            "identity": identity.json, "daemon": .bool(isDaemon), "startedAt": .count(startedAt),
            "repository": repository.json, "slots": .count(slotCount), "peers": .array(of: peers),
            "jobs": .array(of: activeJobs), "bootstrap": .array(of: bootstrap),
            "waits": .array(waits.map(JSON.string)), "sandbox": sandbox.json,
            "unconfined": .bool(allowsUnconfined),
            "counters": .object(
                counters.sorted { $0.key < $1.key }.map { part in
                    let reasons = part.value.sorted { $0.key < $1.key }
                    return JSON.Member(
                        part.key,
                        .object(reasons.map { JSON.Member($0.key, .count($0.value)) })
                    )
                }
            ),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "status")
        self.init(
            identity: try fields.message("identity"),
            isDaemon: try fields.flag("daemon"),
            startedAt: Int64(try fields.int("startedAt")),
            repository: try fields.message("repository"),
            slotCount: try fields.int("slots"),
            peers: try fields.messages("peers"),
            activeJobs: try fields.messages("jobs")
        )
        bootstrap = try fields.messages("bootstrap")
        waits = try fields.texts("waits")
        sandbox = try fields.message("sandbox")
        allowsUnconfined = try fields.flag("unconfined")
        for part in json["counters"]?.members ?? [] {
            for reason in part.value.members ?? [] {
                counters[part.name, default: [:]][reason.name] = reason.value.unsigned
            }
        }
    }
}

extension BootstrapInfo: JSONMessage {
    package var json: JSON {
        [
            "address": .string(address), "connected": .bool(isConnected), "failures": .count(failureCount),
            "lastFailure": .string(lastFailure),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "bootstrap")
        self.init(
            address: try fields.text("address"),
            isConnected: try fields.flag("connected"),
            failureCount: try fields.int("failures"),
            lastFailure: try fields.text("lastFailure")
        )
    }
}
