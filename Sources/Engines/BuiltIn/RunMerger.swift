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
/// A loser tree: each element costs as many comparisons as the tree is high.
struct RunMerger<Cursor: MergeCursor> {
    private var cursors: [Cursor]
    /// Losers of the inner nodes, at 0 the winner; -1 while the tree is built.
    private var tree: [Int]
    private var heads: [Head]

    /// The smallest element of a sequence, at hand for comparisons.
    private struct Head {
        var prefix: UInt64
        var key: UnsafePointer<UInt8>
        var keyByteCount: Int
        var isLive: Bool

        init(_ cursor: Cursor, isLive: Bool) {
            prefix = cursor.prefix
            key = cursor.key
            keyByteCount = cursor.keyByteCount
            self.isLive = isLive
        }
    }

    init(_ cursors: [Cursor]) throws(TaskFault) {
        self.cursors = cursors
        heads = []
        for cursor in cursors {
            let isLive = try cursor.advance()
            heads.append(Head(cursor, isLive: isLive))
        }
        tree = [Int](repeating: -1, count: max(1, cursors.count))
        for index in cursors.indices.reversed() { settle(index) }
    }

    /// The cursor with the smallest pair, or `nil` when all are exhausted.
    var smallest: Cursor? {
        guard let winner = tree.first, winner >= 0, heads[winner].isLive else { return nil }
        return cursors[winner]
    }

    /// Moves past the smallest pair.
    mutating func advance() throws(TaskFault) {
        let winner = tree[0]
        let isLive = try cursors[winner].advance()
        heads[winner] = Head(cursors[winner], isLive: isLive)
        replay(winner)
    }

    /// Puts a cursor into a tree that is being built.
    private mutating func settle(_ index: Int) {
        var winner = index
        var node = (index + cursors.count) / 2
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

    private mutating func replay(_ index: Int) {
        var winner = index
        var node = (index + cursors.count) / 2
        while node > 0 {
            if isBefore(tree[node], winner) { swap(&tree[node], &winner) }
            node /= 2
        }
        tree[0] = winner
    }

    private func isBefore(_ left: Int, _ right: Int) -> Bool {
        let one = heads[left]
        let other = heads[right]
        guard one.isLive else { return false }
        guard other.isLive else { return true }
        if one.prefix != other.prefix { return one.prefix < other.prefix }
        if KeyOrder.isLess(one.key, one.keyByteCount, other.key, other.keyByteCount) { return true }
        if KeyOrder.isLess(other.key, other.keyByteCount, one.key, one.keyByteCount) { return false }
        return left < right
    }
}
