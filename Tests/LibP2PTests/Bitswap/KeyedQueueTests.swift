import Testing

@testable import LibP2P

@Suite("Keyed queue")
struct KeyedQueueTests {
    @Test("elements leave by priority, then by age; those taken out and replaced do not")
    func order() {
        var queue = KeyedQueue<String> { $0 > $1 }
        for (key, priority) in [("a", 1), ("b", 3), ("c", 3), ("d", 2), ("e", 9)] {
            queue.insert(key, priority: Int32(priority))
        }
        queue.remove("e")
        queue.remove("nobody")
        queue.insert("d", priority: 4)
        var left: [String] = []
        while let first = queue.first {
            left.append(first.key)
            queue.remove(first.key)
        }
        #expect(left == ["d", "b", "c", "a"])
        #expect(queue.count == 0)
    }

    @Test("what is taken out does not stay in memory")
    func bounded() {
        var queue = KeyedQueue<Int> { $0 > $1 }
        for number in 0..<20_000 {
            queue.insert(number % 100, priority: Int32(number % 7))
            #expect(queue.heldCount <= 2 * queue.count + 64)
        }
    }

    @Test("it agrees with a sorted list")
    func model() {
        var queue = KeyedQueue<Int> { $0 < $1 }
        var model: [(key: Int, priority: Int32)] = []
        var state: UInt64 = 1
        for _ in 0..<5_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let key = Int(state >> 33) % 50
            model.removeAll { $0.key == key }
            if state >> 60 < 5 {
                queue.remove(key)
            } else {
                let priority = Int32((state >> 40) % 5)
                queue.insert(key, priority: priority)
                model.append((key, priority))
            }
            // The first of the least: `min` keeps the earlier of equals.
            #expect(queue.first?.key == model.min { $0.priority < $1.priority }?.key)
        }
    }
}
