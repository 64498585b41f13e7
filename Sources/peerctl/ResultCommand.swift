import Engines
import MRProtocol
import Multiformats
import PeerNode

/// `result`: what a job made, merged.
enum ResultCommand {
    static let verb = Verb(
        name: "result",
        summary: "print the whole result of a job, parts merged in key order",
        operands: "JOB-or-CID",
        options: [.value("output", "o", "FILE", "write to a file")],
        example: "peerctl result bafybe… | sort -k2 -nr | head",
        operandCount: 1...1
    ) { call in
        try await call.withNode { access in
            let (result, rule) = try await find(call.operands[0], call, access.service)
            let reader = ResultReader(node: access.service)
            guard let path = call.arguments.value("output") else {
                let streams = call.streams
                return try await reader.merge(result, rule) { streams.bytes($0) }
            }
            let file = try OutputFile(path)
            try await reader.merge(result, rule) { try file.write($0) }
            try file.commit()
        }
    }

    /// The result, and the rule of its keys when a job of this node tells it.
    private static func find(
        _ text: String,
        _ call: Invocation,
        _ node: any NodeService
    ) async throws -> (CID, KeyRule?) {
        if let cid = CID(text) {
            return (cid, try await node.jobs().first { $0.result == cid }.map { KeyRule(of: $0.spec) })
        }
        let status = try await node.job(JobID(text))
        guard let result = status.result else {
            throw NodeError(.conflict, "job \(text) has no result: it is \(status.state.rawValue)")
        }
        return (result, KeyRule(of: status.spec))
    }
}

/// Reads a result directory as one sequence in key order.
struct ResultReader: Sendable {
    let node: any NodeService

    /// Bytes read of a part at a time.
    static let pieceByteCount: UInt64 = 1 << 18

    /// Gives the merged parts to `sink`.
    ///
    /// `rule` says where keys end; `nil`: that is found from the lines, which are read once more for it.
    func merge(_ result: CID, _ rule: KeyRule?, into sink: @escaping ByteSink) async throws {
        let entries = try await node.list(ContentPath(root: result)).filter {
            $0.name.isEmpty || $0.name.hasPrefix("part-")
        }
        guard !entries.isEmpty else {
            throw NodeError(.wrongKind, "\(result) is not the result of a job: it has no part files")
        }
        if entries.filter({ $0.size > 0 }).count > 1 {
            let known: KeyRule
            if let rule { known = rule } else { known = try await findRule(entries, of: result) }
            return try await mergeLines(entries, known, into: sink)
        }
        for entry in entries {
            try await node.read(ContentPath(root: entry.cid), offset: 0, length: nil, into: sink)
        }
    }

    private func findRule(_ entries: [ContentEntry], of result: CID) async throws -> KeyRule {
        var evidence = KeyRuleEvidence(partCount: entries.count)
        for (number, entry) in entries.enumerated() where evidence.fitting.count > 1 {
            var part = PartLines(entry, rule: .wholeLine, pieceByteCount: Self.pieceByteCount)
            while evidence.fitting.count > 1, try await part.advance(node) {
                evidence.add(part.key, part: number)
            }
        }
        guard let rule = evidence.fitting.first else {
            throw NodeError(
                .wrongKind,
                "\(result) is not the result of a job: its lines are not parted by key; "
                    + "read its files with `peerctl cat`"
            )
        }
        return rule
    }

    private func mergeLines(_ entries: [ContentEntry], _ rule: KeyRule, into sink: ByteSink) async throws {
        let share = min(Self.pieceByteCount, max(Self.memoryByteCount / UInt64(entries.count), 4_096))
        var parts: [PartLines] = []
        for entry in entries {
            var part = PartLines(entry, rule: rule, pieceByteCount: share)
            if try await part.advance(node) { parts.append(part) }
        }
        var heap = LineHeap(parts)
        var output: [UInt8] = []
        while var part = heap.takeFirst() {
            output += part.line
            if try await part.advance(node) { heap.insert(part) }
            if output.count >= 1 << 16 {
                try output.withUnsafeBytes { try sink($0) }
                output.removeAll(keepingCapacity: true)
            }
        }
        try output.withUnsafeBytes { try sink($0) }
    }

    /// Memory for the pieces of all parts together, in bytes.
    static let memoryByteCount: UInt64 = 64 << 20
}
