/// A first-in first-out queue with constant-time ends, for machines that may not use more than an array.
///
/// Inlinable, so that the targets that import it have it for their own elements.
@frozen
package struct FIFO<Element: Sendable>: Sendable {
    @usableFromInline var elements: [Element?] = []
    @usableFromInline var head = 0

    /// An empty queue.
    @inlinable package init() {}

    /// Elements waiting.
    @inlinable package var count: Int { elements.count - head }
    /// Whether none waits.
    @inlinable package var isEmpty: Bool { head == elements.count }

    /// Adds an element at the end.
    @inlinable package mutating func append(_ element: Element) {
        elements.append(element)
    }

    /// Takes the first element.
    @inlinable package mutating func popFirst() -> Element? {
        guard head < elements.count else { return nil }
        let element = elements[head]
        elements[head] = nil
        head += 1
        reclaim()
        return element
    }

    /// Lets the caller change the first element, and drop it by answering `false`.
    @inlinable package mutating func updateFirst(_ body: (inout Element) -> Bool) {
        guard head < elements.count, var element = elements[head] else { return }
        elements[head] = nil
        if body(&element) {
            elements[head] = element
        } else {
            head += 1
            reclaim()
        }
    }

    /// Lets the caller change the last element; `false` when there is none, or the caller answers so.
    @inlinable package mutating func updateLast(_ body: (inout Element) -> Bool) -> Bool {
        guard head < elements.count, let index = elements.indices.last, var element = elements[index] else {
            return false
        }
        elements[index] = nil
        let isChanged = body(&element)
        elements[index] = element
        return isChanged
    }

    @inlinable mutating func reclaim() {
        if head == elements.count {
            // Most often one element: its removal is much cheaper than that of a range.
            if head == 1 { elements.removeLast() } else { elements.removeAll(keepingCapacity: true) }
            head = 0
        } else if head >= 64, head > elements.count / 2 {
            elements.removeFirst(head)
            head = 0
        }
    }
}
