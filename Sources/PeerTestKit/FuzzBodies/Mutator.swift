/// Makes new inputs for parsers out of valid ones: flips, cuts, repeats and splices, from one seed.
public struct Mutator: Sendable {
    private var random: SeededRandom
    private static let telling: [UInt8] = [0, 1, 0x7f, 0x80, 0xff]

    /// Starts a sequence of inputs.
    public init(seed: UInt64) { random = SeededRandom(seed: seed) }

    /// The next input, of at most `maxByteCount` bytes.
    public mutating func next(from seeds: [[UInt8]], maxByteCount: Int = 4096) -> [UInt8] {
        var bytes = seeds.randomElement(using: &random) ?? []
        for _ in 0..<Int.random(in: 1...6, using: &random) { mutate(&bytes, seeds: seeds) }
        return Array(bytes.prefix(maxByteCount))
    }

    private mutating func mutate(_ bytes: inout [UInt8], seeds: [[UInt8]]) {
        let start = Int.random(in: 0...bytes.count, using: &random)
        let end = min(bytes.count, start + Int.random(in: 0...16, using: &random))
        switch Int.random(in: 0..<6, using: &random) {
        case 0 where start < bytes.count: bytes[start] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1 where start < bytes.count: bytes[start] = Self.telling.randomElement(using: &random) ?? 0
        case 2: bytes.removeSubrange(start..<end)
        case 3: bytes.insert(contentsOf: bytes[start..<end], at: start)
        case 4: bytes.removeSubrange(start..<bytes.count)
        default: bytes.insert(contentsOf: (seeds.randomElement(using: &random) ?? []).prefix(64), at: start)
        }
    }
}
