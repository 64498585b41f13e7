internal import Multiformats

/// Names that nobody guesses: 128 random bits in base32.
enum RandomName {
    static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        return Base32.encode((0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
}
