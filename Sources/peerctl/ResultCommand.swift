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
            let (result, format) = try await find(call.operands[0], call, access.service)
            let reader = ResultReader(node: access.service)
            guard let path = call.arguments.value("output") else {
                let streams = call.streams
                return try await reader.merge(result, format) { streams.bytes($0) }
            }
            let file = try OutputFile(path)
            try await reader.merge(result, format) { try file.write($0) }
            try file.commit()
        }
    }

    private static func find(
        _ text: String,
        _ call: Invocation,
        _ node: any NodeService
    ) async throws -> (CID, OutputFormat) {
        if let cid = CID(text) { return (cid, .text) }
        let status = try await node.job(JobID(text))
        guard let result = status.result else {
            throw NodeError(.conflict, "job \(text) has no result: it is \(status.state.rawValue)")
        }
        return (result, status.spec.outputFormat)
    }
}

/// Reads a result directory as one sequence in key order.
struct ResultReader: Sendable {
    let node: any NodeService

    /// Bytes read of a part at a time.
    static let pieceByteCount: UInt64 = 1 << 18

    /// Gives the merged parts to `sink`.
    ///
    /// Lines are merged by key (what stands before the first TAB), bytewise; a key is in one part only.
    func merge(_ result: CID, _ format: OutputFormat, into sink: @escaping ByteSink) async throws {
        let entries = try await node.list(ContentPath(root: result)).filter {
            $0.name.isEmpty || $0.name.hasPrefix("part-")
        }
        guard !entries.isEmpty else {
            throw NodeError(.invalidArgument, "\(result) is not the result of a job: it has no part files")
        }
        guard entries.count > 1, format == .text else {
            for entry in entries {
                try await node.read(ContentPath(root: entry.cid), offset: 0, length: nil, into: sink)
            }
            return
        }
        try await mergeLines(entries, into: sink)
    }

    private func mergeLines(_ entries: [ContentEntry], into sink: ByteSink) async throws {
        let share = min(Self.pieceByteCount, max(Self.memoryByteCount / UInt64(entries.count), 4_096))
        var parts: [PartLines] = []
        for entry in entries {
            var part = PartLines(cid: entry.cid, byteCount: entry.size, pieceByteCount: share)
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

/// The lines of one part, read piece by piece.
private struct PartLines {
    let cid: CID
    let byteCount: UInt64
    let pieceByteCount: UInt64
    private var offset: UInt64 = 0
    private var buffer: [UInt8] = []
    private var start = 0
    /// The current line with its end.
    private(set) var line: ArraySlice<UInt8> = []

    init(cid: CID, byteCount: UInt64, pieceByteCount: UInt64) {
        self.cid = cid
        self.byteCount = byteCount
        self.pieceByteCount = pieceByteCount
    }

    /// The bytes that order lines.
    var key: ArraySlice<UInt8> { line.prefix { $0 != 9 && $0 != 10 } }

    /// Goes to the next line; `false` at the end.
    mutating func advance(_ node: any NodeService) async throws -> Bool {
        var searched = start
        while true {
            if let end = buffer[searched...].firstIndex(of: 10) {
                line = buffer[start...end]
                start = end + 1
                return true
            }
            guard offset < byteCount else {
                line = buffer[start...]
                start = buffer.count
                return !line.isEmpty
            }
            searched = buffer.count - start
            buffer.removeFirst(start)
            start = 0
            buffer += try await piece(node)
        }
    }

    private mutating func piece(_ node: any NodeService) async throws -> [UInt8] {
        let gathered = Gathered()
        try await node.read(ContentPath(root: cid), offset: offset, length: pieceByteCount) {
            gathered.append($0)
        }
        let bytes = gathered.take()
        guard !bytes.isEmpty else {
            throw NodeError(.corrupt, "part \(cid) ends before its \(byteCount) bytes")
        }
        offset += UInt64(bytes.count)
        return bytes
    }
}

/// Parts by the key of their current line, a binary heap.
private struct LineHeap {
    private var parts: [PartLines] = []

    init(_ parts: [PartLines]) { for part in parts { insert(part) } }

    mutating func insert(_ part: PartLines) {
        parts.append(part)
        var child = parts.count - 1
        while child > 0, precedes(child, (child - 1) / 2) {
            parts.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func takeFirst() -> PartLines? {
        guard !parts.isEmpty else { return nil }
        parts.swapAt(0, parts.count - 1)
        let first = parts.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < parts.count && precedes(child, least)
            {
                least = child
            }
            if least == parent { return first }
            parts.swapAt(parent, least)
            parent = least
        }
    }

    private func precedes(_ left: Int, _ right: Int) -> Bool {
        parts[left].key.lexicographicallyPrecedes(parts[right].key)
    }
}
