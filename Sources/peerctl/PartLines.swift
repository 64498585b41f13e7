import Engines
import Multiformats
import PeerNode

/// The lines of one part, read piece by piece.
struct PartLines {
    let cid: CID
    let byteCount: UInt64
    let pieceByteCount: UInt64
    private let rule: KeyRule
    private var offset: UInt64 = 0
    private var buffer: [UInt8] = []
    private var start = 0
    /// The current line with its end.
    private(set) var line: ArraySlice<UInt8> = [] {
        didSet { key = rule.key(of: line.last == 10 ? line.dropLast() : line) }
    }
    /// The bytes that order lines.
    private(set) var key: ArraySlice<UInt8> = []

    init(_ entry: ContentEntry, rule: KeyRule, pieceByteCount: UInt64) {
        cid = entry.cid
        byteCount = entry.size
        self.rule = rule
        self.pieceByteCount = pieceByteCount
    }

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
struct LineHeap {
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
