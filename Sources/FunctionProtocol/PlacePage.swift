import Glibc

/// Where an attempt is: memory that the process for functions writes and the node reads while the function runs.
///
/// A process that is busy in a function sends nothing, and one that was killed says nothing. From here the node sees that it
/// gets on, and what it was at.
///
/// **Layout** three numbers of 64-bit floating point, as JavaScript has them: `Number`.
/// **Source** docs/protocols/functions.md, "The page".
package final class PlacePage {
    /// What a number of the page is.
    package enum Number: Int {
        /// Frames of records begun in the attempt; 0: none.
        case frame
        /// Where the record or batch at hand begins in its input.
        case offset
        /// Grows when the attempt gets on without a new record.
        case steps
    }

    /// Its numbers at one moment; they may be anything, for the other side writes them.
    package struct Content: Equatable, Sendable {
        private let bits: [UInt64]

        fileprivate init(_ numbers: UnsafeMutableBufferPointer<Double>) { bits = numbers.map(\.bitPattern) }

        /// The number of the frame whose records are at hand, from 1, and where the record or batch begins in its input.
        package var record: (frame: Int, offset: UInt64)? {
            guard let frame = Int(exactly: self[.frame]), frame > 0,
                let offset = UInt64(exactly: self[.offset])
            else { return nil }
            return (frame, offset)
        }

        private subscript(_ number: Number) -> Double { Double(bitPattern: bits[number.rawValue]) }
    }

    /// The file's size in bytes.
    package static let byteCount = 4_096
    private static let numberCount = 3

    package let numbers: UnsafeMutableBufferPointer<Double>

    /// Maps a file of `byteCount` bytes; `nil` when that fails.
    package init?(descriptor: Int32) {
        let start = mmap(nil, PlacePage.byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
        guard let start, start != MAP_FAILED else { return nil }
        numbers = UnsafeMutableBufferPointer(
            start: start.assumingMemoryBound(to: Double.self),
            count: PlacePage.numberCount
        )
    }

    deinit { munmap(numbers.baseAddress, PlacePage.byteCount) }

    package var content: Content { Content(numbers) }

    package subscript(_ number: Number) -> Double {
        get { numbers[number.rawValue] }
        set { numbers[number.rawValue] = newValue }
    }

    /// No attempt is at anything.
    package func clear() { numbers.update(repeating: 0) }
}
