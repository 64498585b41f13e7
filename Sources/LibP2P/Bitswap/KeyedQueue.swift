/// A queue by priority out of which any element can be taken by its key, in logarithmic time.
///
/// Elements of equal priority leave in the order in which they came. A heap; what was removed from its middle stays in it
/// until it comes to the top or makes up more than half of it.
struct KeyedQueue<Key: Hashable & Sendable>: Sendable {
    struct Element: Sendable {
        let key: Key
        let priority: Int32
        fileprivate let number: UInt64
    }

    private var heap: [Element] = []
    /// The number of each key's element; one with another number in the heap is out of date.
    private var numbers: [Key: UInt64] = [:]
    private var lastNumber: UInt64 = 0
    private let precedes: @Sendable (Int32, Int32) -> Bool

    /// An empty queue; `precedes` says which of two priorities leaves first.
    init(_ precedes: @escaping @Sendable (Int32, Int32) -> Bool) { self.precedes = precedes }

    var count: Int { numbers.count }
    /// Elements held, with those that were removed.
    var heldCount: Int { heap.count }

    /// The element to leave first.
    var first: Element? { heap.first }

    /// Adds a key, in place of an element that has the same.
    mutating func insert(_ key: Key, priority: Int32) {
        lastNumber += 1
        numbers[key] = lastNumber
        heap.append(Element(key: key, priority: priority, number: lastNumber))
        siftUp()
        tidy()
    }

    /// Takes a key out, if it is there.
    mutating func remove(_ key: Key) {
        guard numbers.removeValue(forKey: key) != nil else { return }
        tidy()
    }

    mutating func removeAll() {
        heap = []
        numbers = [:]
    }

    /// Drops what is out of date from the top, and everywhere when it is the larger part.
    private mutating func tidy() {
        while let top = heap.first, numbers[top.key] != top.number { removeTop() }
        guard heap.count > 2 * numbers.count + 64 else { return }
        // In its order a sorted array is a heap.
        heap = heap.filter { numbers[$0.key] == $0.number }.sorted(by: leavesBefore)
    }

    private func leavesBefore(_ one: Element, _ other: Element) -> Bool {
        one.priority == other.priority ? one.number < other.number : precedes(one.priority, other.priority)
    }

    private mutating func siftUp() {
        var index = heap.count - 1
        while index > 0 {
            let parent = (index - 1) / 2
            guard leavesBefore(heap[index], heap[parent]) else { return }
            heap.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func removeTop() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var index = 0
        while true {
            var next = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count {
                if leavesBefore(heap[child], heap[next]) { next = child }
            }
            guard next != index else { return }
            heap.swapAt(index, next)
            index = next
        }
    }
}
