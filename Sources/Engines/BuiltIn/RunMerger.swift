import MRProtocol

/// Walks a sorted sequence.
protocol MergeCursor: AnyObject {
    /// The key that the sequence is sorted by, and its first bytes as in `SortEntry`.
    var key: UnsafePointer<UInt8> { get }
    var keyByteCount: Int { get }
    var prefix: UInt64 { get }
    /// Moves to the next element; `false` behind the last.
    func advance() throws(TaskFault) -> Bool
}

/// Merges sorted sequences: by key, elements of one key in the order of the sequences.
///
/// A loser tree: each element costs as many comparisons as the tree is high. Heads and tree lie in memory of their own,
/// where a comparison counts no references.
final class RunMerger<Cursor: MergeCursor> {
    private let cursors: [Cursor]
    /// Losers of the inner nodes, at 0 the winner; -1 while the tree is built.
    private let tree: UnsafeMutableBufferPointer<Int>
    private let heads: UnsafeMutableBufferPointer<Head>

    /// The smallest element of a sequence, at hand for comparisons.
    private struct Head {
        var prefix: UInt64
        var key: UnsafePointer<UInt8>
        var keyByteCount: Int
        var isLive: Bool

        @inline(__always)
        init(_ cursor: Cursor, isLive: Bool) {
            prefix = cursor.prefix
            key = cursor.key
            keyByteCount = cursor.keyByteCount
            self.isLive = isLive
        }
    }

    init(_ cursors: [Cursor]) throws(TaskFault) {
        self.cursors = cursors
        tree = .allocate(capacity: max(1, cursors.count))
        tree.initialize(repeating: -1)
        heads = .allocate(capacity: cursors.count)
        for (index, cursor) in cursors.enumerated() {
            let isLive = try cursor.advance()
            heads.initializeElement(at: index, to: Head(cursor, isLive: isLive))
        }
        for index in cursors.indices.reversed() { settle(index) }
    }

    deinit {
        tree.deallocate()
        heads.deallocate()
    }

    /// The cursor with the smallest pair, or `nil` when all are exhausted.
    var smallest: Cursor? {
        let winner = tree[0]
        guard winner >= 0, heads[winner].isLive else { return nil }
        return cursors[winner]
    }

    /// Moves past the smallest pair.
    func advance() throws(TaskFault) {
        let winner = tree[0]
        let cursor = cursors[winner]
        let isLive = try cursor.advance()
        heads[winner] = Head(cursor, isLive: isLive)
        replay(winner)
    }

    /// Puts a cursor into a tree that is being built.
    private func settle(_ index: Int) {
        var winner = index
        var node = (index + heads.count) / 2
        while node > 0 {
            if tree[node] < 0 {
                tree[node] = winner
                return
            }
            if isBefore(tree[node], winner) { swap(&tree[node], &winner) }
            node /= 2
        }
        tree[0] = winner
    }

    private func replay(_ index: Int) {
        var winner = index
        var node = (index + heads.count) / 2
        while node > 0 {
            let loser = tree[node]
            if isBefore(loser, winner) {
                tree[node] = winner
                winner = loser
            }
            node /= 2
        }
        tree[0] = winner
    }

    @inline(__always)
    private func isBefore(_ left: Int, _ right: Int) -> Bool {
        let one = heads[left]
        let other = heads[right]
        guard one.isLive else { return false }
        guard other.isLive else { return true }
        if one.prefix != other.prefix { return one.prefix < other.prefix }
        let order = KeyOrder.compare(one.key, one.keyByteCount, other.key, other.keyByteCount)
        return order != 0 ? order < 0 : left < right
    }
}
