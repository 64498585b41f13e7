internal import CSodium

/// libsodium, initialised once before its first use in this process.
enum Sodium {
    private static let initialised = sodium_init()

    /// Makes sure that libsodium chose its implementations and opened its random source.
    static func ensureReady() {
        precondition(initialised >= 0, "libsodium could not be initialised: no source of random bytes")
    }
}

extension UnsafeRawBufferPointer {
    /// The bytes as the C libraries take them; never asked of empty memory.
    var octets: UnsafePointer<UInt8> {
        guard let start = baseAddress else { preconditionFailure("no bytes where some are needed") }
        return start.assumingMemoryBound(to: UInt8.self)
    }
}

extension UnsafeMutableRawBufferPointer {
    /// The bytes as the C libraries take them; never asked of empty memory.
    var octets: UnsafeMutablePointer<UInt8> {
        guard let start = baseAddress else { preconditionFailure("no bytes where some are needed") }
        return start.assumingMemoryBound(to: UInt8.self)
    }
}
