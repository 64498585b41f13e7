import Testing

@testable import Engines

@Suite("Counting newlines")
struct NewlineCountTests {
    @Test("Every newline counts wherever it stands, and none of its neighbours", arguments: 0...17)
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

    private func count(_ bytes: [UInt8]) -> Int { bytes.withUnsafeBytes(WordScanner.newlineCount) }
}
