import Multiformats
import PeerNode

/// `result`: what a job made, merged.
enum ResultCommand {
    static let verb = Verb(
        name: "result",
        summary: "print the whole result of a job, parts merged in key order",
        operands: "JOB-or-CID",
        options: [.value("output", "o", "FILE", "write to a file")],
        details: "A job is called by its id, or by its --name if no other has it.",
        example: "peerctl result bafybe… | sort -k2 -nr | head",
        operandCount: 1...1
    ) { call in
        try await call.withNode { access in
            let result = try await find(call.operands[0], access.service, call)
            guard let path = call.arguments.value("output") else {
                let streams = call.streams
                return try await access.service.readResult(result) { streams.bytes($0) }
            }
            try await save(result, of: access.service, to: OutputFile(path, call.streams))
        }
    }

    /// Writes a merged result to a file.
    static func save(_ result: CID, of node: any NodeService, to file: OutputFile) async throws {
        try await node.readResult(result) { try file.write($0) }
        try file.commit()
    }

    private static func find(_ text: String, _ node: any NodeService, _ call: Invocation) async throws -> CID
    {
        if let cid = CID(text) { return cid }
        let status = try await call.job(text, of: node)
        guard let result = status.result else {
            let state =
                switch status.state {
                case .queued: "is queued"
                case .running, .succeeded: "is running"
                case .failed: "failed"
                case .cancelled: "was cancelled"
                }
            throw NodeError(.conflict, "job \(text) has no result: it \(state)")
        }
        return result
    }
}
