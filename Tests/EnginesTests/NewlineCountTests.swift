import Testing

@testable import Engines

@Suite("Counting newlines")
struct NewlineCountTests {
    @Test("Every newline counts wherever it stands, and none of its neighbours", arguments: 0...33)
    func places(length: Int) {
        for neighbour in [0x00, 0x09, 0x0b, 0x8a, 0xff] as [UInt8] {
            let none = [UInt8](repeating: neighbour, count: length)
            #expect(count(none) == 0)
            for place in 0..<length {
                var one = none
                one[place] = 0x0a
                #expect(count(one) == 1)
            }
        }
        #expect(count([UInt8](repeating: 0x0a, count: length)) == length)
    }

    @Test(
        "More newlines than a byte can count, between other bytes, each of them",
        arguments: [4_079, 4_080, 4_081, 8_200, 262_144]
    )
    func many(length: Int) {
        #expect(count([UInt8](repeating: 0x0a, count: length)) == length)
        let mixed = (0..<length).map { $0 % 3 == 0 ? UInt8(0x0a) : 0x0b }
        #expect(count(mixed) == (length + 2) / 3)
    }

    private func count(_ bytes: [UInt8]) -> Int { bytes.withUnsafeBytes(WordScanner.newlineCount) }
}
