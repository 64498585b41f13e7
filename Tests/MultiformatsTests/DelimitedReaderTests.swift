import Multiformats
import Testing

@Suite("Delimited messages")
struct DelimitedReaderTests {
    private static let stream: [UInt8] =
        [3, 1, 2, 3, 0, 0x82, 0x01] + [UInt8](repeating: 9, count: 130) + [1, 7]
    private static let messages: [[UInt8]] = [[1, 2, 3], [], [UInt8](repeating: 9, count: 130), [7]]

    @Test("messages come out whole wherever the stream is cut", arguments: [1, 2, 3, 7, 64, 1000])
    func pieces(size: Int) throws {
        var reader = DelimitedReader(maxByteCount: 130)
        var messages: [[UInt8]] = []
        for start in stride(from: 0, to: Self.stream.count, by: size) {
            var piece = Self.stream[start..<min(start + size, Self.stream.count)]
            while let message = try reader.next(&piece) { messages.append(message) }
            #expect(piece.isEmpty)
        }
        #expect(messages == Self.messages)
        #expect(reader.isBetweenMessages)
    }

    @Test("a length over the limit is refused before any byte of the message")
    func tooLong() {
        var reader = DelimitedReader(maxByteCount: 129)
        var bytes: ArraySlice<UInt8> = [0x82, 0x01]
        #expect(throws: DelimitedFault.tooLong(130, limit: 129)) { try reader.next(&bytes) }
    }

    @Test(
        "lengths that are no minimal varint are refused",
        arguments: [[0x81, 0x00], [UInt8](repeating: 0xff, count: 10)]
    )
    func badLength(bytes: [UInt8]) {
        var reader = DelimitedReader(maxByteCount: 1000)
        var bytes = bytes[...]
        #expect(throws: DelimitedFault.self) { try reader.next(&bytes) }
    }

    @Test("a stream that ends inside a message is known to")
    func truncated() throws {
        var reader = DelimitedReader(maxByteCount: 10)
        var bytes: ArraySlice<UInt8> = [3, 1]
        #expect(try reader.next(&bytes) == nil)
        #expect(!reader.isBetweenMessages)
        bytes = [2, 3]
        #expect(try reader.next(&bytes) == [1, 2, 3])
    }

    @Test("framing puts the length before the bytes")
    func framing() {
        #expect([UInt8](repeating: 5, count: 200).delimited.prefix(3) == [0xc8, 0x01, 5])
        #expect([UInt8]().delimited == [0])
    }
}
