import FunctionProtocol
import Testing

@Suite("Function protocol")
struct MessageTests {
    @Test("A frame's head is length, then kind")
    func head() {
        #expect(Frame.head(.records, bodyByteCount: 258) == [0x03, 0x01, 0x00, 0x00, 0x03])
        #expect(
            Frame.parse(head: [0x03, 0x01, 0x00, 0x00, 0x03]).map {
                [Int($0.kind.rawValue), $0.bodyByteCount]
            } == [3, 258]
        )
    }

    @Test(
        "A head of an unknown kind or an impossible length is refused",
        arguments: [[1, 0, 0, 0, 0x7e], [0, 0, 0, 0, 3], [2, 0, 0, 4, 3], [1, 0, 0, 0], []] as [[UInt8]]
    )
    func badHead(head: [UInt8]) {
        #expect(Frame.parse(head: head) == nil)
    }

    @Test("Every message reads what it wrote, and nothing shorter or longer")
    func roundTrips() {
        let preparation = Preparation(
            engine: .command,
            roles: [.map, .reduce],
            name: "map.py",
            program: Array("python3 map.py".utf8),
            arguments: [("n", "3")],
            skipLimit: 7,
            folder: "/tmp/a/work",
            hiddenFolder: "/tmp/a",
            isForeign: true
        )
        #expect(Preparation(body: preparation.body) == preparation)
        #expect(
            preparation.body.indices.dropLast(14).allSatisfy {
                Preparation(body: Array(preparation.body[..<$0])) == nil
            }
        )
        let start = TaskStart(role: .reduce, seed: [1, 2], partition: 9, environment: [("a", "b")])
        #expect(TaskStart(body: start.body) == start && TaskStart(body: start.body + [0]) == nil)
        let ready = Readiness(roles: .map, usesPosition: true, missing: ["landlock"])
        #expect(Readiness(body: ready.body) == ready && Readiness(body: ready.body + [0]) == nil)
        let fault = FunctionFault(
            .threw,
            "m",
            line: 1,
            column: 2,
            stack: "s",
            input: "i",
            offset: 3,
            excerpt: [4]
        )
        #expect(
            FunctionFault(body: fault.body) == fault
                && FunctionFault(body: Array(fault.body.dropLast())) == nil
        )
        let counter = CounterIncrement(group: "g", name: "n", amount: -5)
        #expect(CounterIncrement(body: counter.body) == counter && CounterIncrement(body: []) == nil)
    }

    @Test("A chunk's head lies in front of its records")
    func chunk() {
        let chunk = RecordChunk(format: .kv, input: "in", offset: 1 << 40, bytes: [65, 10])
        #expect(chunk.head == [3, 0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 0, 105, 110])
        #expect(RecordChunk(body: chunk.head + chunk.bytes) == chunk)
    }

    @Test("Pairs are read until the bytes end, a torn one is told")
    func pairs() {
        var bytes: [UInt8] = []
        PackedPairs.append(key: [97], value: [98, 99], to: &bytes)
        PackedPairs.append(key: [], value: nil as [UInt8]?, to: &bytes)
        #expect(bytes == [1, 0, 0, 0, 2, 0, 0, 0, 97, 98, 99, 0, 0, 0, 0, 255, 255, 255, 255])
        var seen: [[UInt8]] = []
        let isWhole = bytes.withUnsafeBytes { bytes in
            PackedPairs.forEach(in: bytes) { key, value in
                seen.append(Array(key) + [0] + (value.map(Array.init) ?? [1]))
            }
        }
        #expect(isWhole && seen == [[97, 0, 98, 99], [0, 1]])
        #expect(bytes.dropLast().withUnsafeBytes { PackedPairs.forEach(in: $0) { _, _ in } } == false)
    }

    @Test("Pairs are counted, and bytes that end within one are none")
    func count() {
        func count(_ bytes: [UInt8]) -> Int? { bytes.withUnsafeBytes(PackedPairs.count) }
        let pair: [UInt8] = [1, 0, 0, 0, 2, 0, 0, 0, 97, 98, 99]
        let noValue: [UInt8] = [0, 0, 0, 0, 255, 255, 255, 255]
        #expect(count([]) == 0 && count(pair) == 1 && count(noValue + pair + noValue) == 3)
        for length in 1..<pair.count { #expect(count(noValue + pair.prefix(length)) == nil) }
        #expect(count([255, 255, 255, 255, 254, 255, 255, 255]) == nil)
    }
}
