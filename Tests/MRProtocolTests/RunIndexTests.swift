import MRProtocol
import Testing

struct RunIndexTests {
    private let index: RunIndex = {
        var index = RunIndex(partitionCount: 1000)
        index.append(partition: 0, byteCount: 200, pairCount: 3)
        index.append(partition: 999, byteCount: 70_000, pairCount: 35_000)
        return index
    }()

    private func decode(_ tail: [UInt8], dataByteCount: UInt64) throws(RunFault) -> RunIndex {
        let size = dataByteCount + UInt64(tail.count)
        let footer = try RunIndex.decodeFooter(
            Array(tail.suffix(RunIndex.footerByteCount)),
            fileByteCount: size
        )
        return try RunIndex.decode(Array(tail.dropLast(RunIndex.footerByteCount)), footer: footer)
    }

    @Test("An index comes back as it was written")
    func roundTrip() throws {
        #expect(try decode(index.encode(), dataByteCount: 70_200) == index)
    }

    @Test("The bytes are those of the documented layout")
    func layout() {
        var small = RunIndex(partitionCount: 4)
        small.append(partition: 2, byteCount: 300, pairCount: 5)
        let numbers: [UInt8] = [2, 0xac, 0x02, 5]
        let footer: [UInt8] =
            [0x2c, 1, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0] + Array("MRRUN".utf8) + [0, 0, 1]
        #expect(small.encode() == numbers + footer)
    }

    @Test("A version to come is refused by its number")
    func version() {
        var bytes = index.encode()
        bytes[bytes.count - 1] = 2
        #expect(throws: RunFault.unsupportedVersion(2)) { try decode(bytes, dataByteCount: 70_200) }
    }

    @Test("Pairs that do not tile the file are refused")
    func gap() {
        #expect(throws: RunFault.badIndex) { try decode(index.encode(), dataByteCount: 70_201) }
    }

    @Test("No corruption of one byte makes an index of other bounds than the file's")
    func corruption() throws {
        let bytes = index.encode()
        for position in bytes.indices {
            for flip in [0x01, 0x80, 0xff] as [UInt8] {
                var damaged = bytes
                damaged[position] ^= flip
                guard let found = try? decode(damaged, dataByteCount: 70_200) else { continue }
                #expect(found.dataByteCount == 70_200)
                #expect(found.entries.allSatisfy { $0.partition < found.partitionCount })
            }
        }
    }
}
