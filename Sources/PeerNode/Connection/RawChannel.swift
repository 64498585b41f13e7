import LibP2P
import PeerCrypto

/// A socket with the private network's cipher on it, if there is one: bytes in, bytes out.
@NetworkActor
final class RawChannel {
    private static let handshakeReadByteCount = 4_096

    let socket: Socket
    private var cipher: PrivateNetworkSession?
    /// Encrypted bytes that the socket had no room for.
    private var unsent: [UInt8] = []
    private var unsentOffset = 0
    /// Whether the other end has said anything.
    private(set) var hasReceived = false
    /// Since when the socket has taken nothing.
    private(set) var stalledSince: Duration?

    init(socket: Socket, swarmKey: SwarmKey?) {
        self.socket = socket
        guard let swarmKey else { return }
        let session = PrivateNetworkSession(
            key: swarmKey,
            nonce: RandomBytes.make(XSalsa20Stream.nonceByteCount)
        )
        unsent = session.nonce
        cipher = consume session
    }

    var hasUnsent: Bool { unsentOffset < unsent.count }

    /// Reads some bytes, for a handshake.
    func read() async throws(ConnectionFault) -> [UInt8] {
        while true {
            await socket.readable()
            var bytes = [UInt8](repeating: 0, count: Self.handshakeReadByteCount)
            let result = bytes.withUnsafeMutableBytes { buffer in
                Result { () throws(ConnectionFault) in try receive(into: buffer) }
            }
            if let count = try result.get(), count > 0 { return Array(bytes.prefix(count)) }
        }
    }

    /// Reads what is there, decrypted; `nil` when nothing is.
    ///
    /// - Throws: `ConnectionFault.ended` at the end of the stream.
    func receive(into buffer: UnsafeMutableRawBufferPointer) throws(ConnectionFault) -> Int? {
        switch socket.receive(into: buffer) {
        case .wouldBlock: return nil
        case .failed(let error): throw .system(error)
        case .moved(0): throw socket.isClosed ? .closedHere : .ended
        case .moved(let count):
            hasReceived = true
            return decrypt(.init(rebasing: buffer[..<count]))
        }
    }

    /// Writes bytes, for a handshake.
    func write(_ bytes: [UInt8]) async throws(ConnectionFault) {
        guard !bytes.isEmpty else { return }
        var bytes = bytes
        let result = bytes.withUnsafeMutableBytes { bytes in
            Result { () throws(ConnectionFault) in try submit(bytes) }
        }
        try result.get()
        try await flush()
    }

    /// Encrypts bytes in place and hands them to the socket; keeps what it has no room for.
    func submit(_ bytes: UnsafeMutableRawBufferPointer) throws(ConnectionFault) {
        cipher?.encrypt(bytes)
        var rest = UnsafeRawBufferPointer(bytes)
        if !hasUnsent { rest = .init(rebasing: rest[(try sendNow(rest))...]) }
        guard !rest.isEmpty else { return }
        unsent += rest
        if stalledSince == nil { stalledSince = NetworkClock.now }
    }

    /// Waits until the socket has taken everything.
    func flush() async throws(ConnectionFault) {
        while hasUnsent {
            try sendUnsent()
            if hasUnsent { await socket.writable() }
        }
    }

    /// Hands what is unsent to the socket, as much as it has room for.
    func sendUnsent() throws(ConnectionFault) {
        guard hasUnsent, socket.mayTakeMore else { return }
        let result = unsent[unsentOffset...].withUnsafeBytes { bytes in
            Result { () throws(ConnectionFault) in try sendNow(bytes) }
        }
        let count = try result.get()
        unsentOffset += count
        if hasUnsent {
            if stalledSince == nil || count > 0 { stalledSince = NetworkClock.now }
        } else {
            unsent.removeAll(keepingCapacity: false)
            unsentOffset = 0
            stalledSince = nil
        }
    }

    private func sendNow(_ bytes: UnsafeRawBufferPointer) throws(ConnectionFault) -> Int {
        guard !bytes.isEmpty else { return 0 }
        switch socket.send(bytes) {
        case .moved(let count): return count
        case .wouldBlock: return 0
        case .failed(let error): throw socket.isClosed ? .closedHere : .system(error)
        }
    }

    private func decrypt(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        let skipped = cipher?.decrypt(bytes) ?? 0
        guard skipped > 0 else { return bytes.count }
        let rest = UnsafeRawBufferPointer(rebasing: bytes[skipped...])
        bytes.copyMemory(from: rest)
        return rest.count
    }
}
