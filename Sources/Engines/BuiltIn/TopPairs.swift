import MRProtocol

/// The `limit` keys with the greatest counts; of equal counts the smaller keys.
final class TopPairs {
    private let limit: Int
    /// A heap with the least wanted pair at the front.
    private var heap: [(key: [UInt8], count: Int)] = []

    init(count: Int) { limit = count }

    /// Takes a key; keys come in byte order.
    func insert(key: UnsafeRawBufferPointer, count: Int) {
        if heap.count == limit {
            // A later key of the same count is greater, so it is wanted less.
            guard let least = heap.first, count > least.count else { return }
            heap[0] = (Array(key), count)
            siftDown()
        } else {
            heap.append((Array(key), count))
            siftUp()
        }
    }

    /// Writes the pairs: by count descending, then by key.
    func write(to output: any PairOutput) throws(TaskFault) {
        let digits = GrowingBytes()
        for pair in heap.sorted(by: { isWanted($0, over: $1) }) {
            digits.removeAll()
            DecimalText.append(pair.count, to: digits)
            var fault: TaskFault?
            pair.key.withUnsafeBytes { key in
                do throws(TaskFault) { try output.append(key: key, value: digits.bytes) } catch {
                    fault = error
                }
            }
            if let fault { throw fault }
        }
    }

    private func isWanted(_ one: (key: [UInt8], count: Int), over other: (key: [UInt8], count: Int)) -> Bool {
        one.count != other.count ? one.count > other.count : one.key.lexicographicallyPrecedes(other.key)
    }

    private func siftUp() {
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard isWanted(heap[parent], over: heap[child]) else { return }
            heap.swapAt(parent, child)
            child = parent
        }
    }

    private func siftDown() {
        var parent = 0
        while true {
            var worst = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if isWanted(heap[worst], over: heap[child]) { worst = child }
            }
            if worst == parent { return }
            heap.swapAt(worst, parent)
            parent = worst
        }
    }
}
