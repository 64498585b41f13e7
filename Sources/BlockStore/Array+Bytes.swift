extension [UInt8] {
    /// `withUnsafeBytes` that keeps the error type.
    func withBytes<R>(
        _ body: (UnsafeRawBufferPointer) throws(BlockStoreError) -> R
    ) throws(BlockStoreError) -> R {
        do { return try withUnsafeBytes { try body($0) } } catch { throw .wrap(error) }
    }
}
