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
    /// Losers of the inner nodes; at 0 the winner. -1: exhausted.
    private var tree: [Int]
    private var live: [Bool]

    init(_ cursors: [Cursor]) throws(TaskFault) {
        self.cursors = cursors
        live = []
        for cursor in cursors { live.append(try cursor.advance()) }
        tree = [Int](repeating: -1, count: max(1, cursors.count))
        for index in cursors.indices.reversed() { settle(index) }
    }

    /// The cursor with the smallest pair, or `nil` when all are exhausted.
    var smallest: Cursor? {
        guard let winner = tree.first, winner >= 0, live[winner] else { return nil }
        return cursors[winner]
    }

    /// Moves past the smallest pair.
    mutating func advance() throws(TaskFault) {
        let winner = tree[0]
        if !(try cursors[winner].advance()) { live[winner] = false }
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
        guard live[left] else { return false }
        guard live[right] else { return true }
        let one = cursors[left]
        let other = cursors[right]
        if one.prefix != other.prefix { return one.prefix < other.prefix }
        if KeyOrder.isLess(one.key, one.keyByteCount, other.key, other.keyByteCount) { return true }
        if KeyOrder.isLess(other.key, other.keyByteCount, one.key, one.keyByteCount) { return false }
        return left < right
    }
}
