/// The answering side of a protocol whose answers need no waiting: bytes in, bytes out.
///
/// It sends nothing by itself and ends with the peer's half.
package protocol StreamResponder: Sendable {
    /// Takes bytes of the stream, in any pieces.
    ///
    /// - Parameters:
    ///   - bytes: at least one.
    ///   - now: time since an origin that the driver chose.
    /// - Returns: the bytes to send back, perhaps none; no more than were taken and not answered before.
    mutating func receive(_ bytes: ArraySlice<UInt8>, now: Duration) -> ArraySlice<UInt8>

    /// When the stream is to be reset unless something comes before.
    var nextDeadline: Duration { get }
}
