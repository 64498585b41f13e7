extension [UInt8] {
    /// `withUnsafeBytes` that keeps the error type.
    func withBytes<R>(
        _ body: (UnsafeRawBufferPointer) throws(BlockStoreError) -> R
    ) throws(BlockStoreError) -> R {
        do { return try withUnsafeBytes { try body($0) } } catch { throw .wrap(error) }
    }

    /// Hands the bytes with a NUL behind them to C.
    func withCString<R>(_ body: (UnsafePointer<CChar>) -> R) -> R {
        (map { CChar(bitPattern: $0) } + [0]).withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("an array with a NUL has a base") }
            return body(base)
        }
    }
}
