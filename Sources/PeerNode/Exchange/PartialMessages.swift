package import Multiformats

/// Messages of all peers of which only the front has come, so that together they stay within a budget of memory.
package struct PartialMessages {
    /// One stream with such a message.
    package struct Entry {
        package var peer: PeerID
        package var stream: any PeerStream
        var byteCount: Int
        /// When the message began.
        var since: Duration
    }

    private var entries: [Int: Entry] = [:]
    private var lastNumber = 0
    /// Bytes of all of them.
    package private(set) var byteCount = 0

    /// Starts without streams.
    package init() {}

    /// Numbers a stream; `close` must follow.
    package mutating func open() -> Int {
        lastNumber += 1
        return lastNumber
    }

    /// Forgets a stream.
    package mutating func close(_ number: Int) {
        byteCount -= entries.removeValue(forKey: number)?.byteCount ?? 0
    }

    /// Says how much of an incomplete message a stream holds now; 0 when the last one is whole.
    package mutating func update(
        _ number: Int,
        heldByteCount: Int,
        of peer: PeerID,
        on stream: any PeerStream,
        now: Duration
    ) {
        let before = entries[number]
        byteCount += heldByteCount - (before?.byteCount ?? 0)
        guard heldByteCount > 0 else { return entries[number] = nil }
        // A message that has grown is the same one; one that has shrunk is the next.
        let isSame = before.map { $0.byteCount <= heldByteCount } ?? false
        let since = isSame ? before?.since ?? now : now
        entries[number] = Entry(peer: peer, stream: stream, byteCount: heldByteCount, since: since)
    }

    /// Takes out streams until the rest is within `limit`: each time the longest message of the peer that holds the most.
    package mutating func takeExcess(over limit: Int) -> [Entry] {
        var taken: [Entry] = []
        while byteCount > limit {
            var sums: [PeerID: Int] = [:]
            for entry in entries.values { sums[entry.peer, default: 0] += entry.byteCount }
            guard let greediest = sums.max(by: { ($0.value, $1.key) < ($1.value, $0.key) })?.key else {
                break
            }
            let own = entries.filter { $0.value.peer == greediest }
            guard let longest = own.max(by: { ($0.value.byteCount, $1.key) < ($1.value.byteCount, $0.key) })
            else {
                break
            }
            close(longest.key)
            taken.append(longest.value)
        }
        return taken
    }

    /// Takes out streams whose message began before `time`.
    package mutating func takeOlder(than time: Duration) -> [Entry] {
        let old = entries.filter { $0.value.since < time }
        for number in old.keys { close(number) }
        return Array(old.values)
    }
}
