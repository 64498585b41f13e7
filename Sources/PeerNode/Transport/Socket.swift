import CLinux
import Glibc
import Multiformats

/// A connected TCP socket on the event loop.
@NetworkActor
final class Socket {
    /// The transport address at the other end.
    let remote: TCPEndpoint
    private let descriptor: Int32
    private let readiness = Readiness()
    private(set) var isClosed = false

    /// Takes over a connected or connecting non-blocking descriptor.
    init(descriptor: Int32, remote: TCPEndpoint) {
        self.descriptor = descriptor
        self.remote = remote
        EventLoop.shared.register(readiness, descriptor: descriptor)
        setOption(IPPROTO_TCP, TCP_NODELAY, 1)
    }

    /// Dials an address.
    ///
    /// - Throws: `ConnectionFault.system`, or `.timedOut` after `ConnectionLimits.connectTimeout`.
    static func connect(to address: SocketAddress, endpoint: TCPEndpoint) async throws(ConnectionFault)
        -> Socket
    {
        // Registered only once it connects: epoll calls a socket that has not begun hung up.
        let descriptor: Int32
        let isConnected: Bool
        do throws(SystemError) {
            (descriptor, isConnected) = try startConnecting(to: address)
        } catch {
            throw .system(error)
        }
        let socket = Socket(descriptor: descriptor, remote: endpoint)
        guard !isConnected else { return socket }
        socket.readiness.willWrite()
        try await socket.finishConnecting()
        return socket
    }

    private static func startConnecting(
        to address: SocketAddress
    ) throws(SystemError) -> (descriptor: Int32, isConnected: Bool) {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = try SystemCall.check { Glibc.socket(address.family, type, 0) }
        do throws(SystemError) {
            _ = try SystemCall.check { address.withSocketAddress { Glibc.connect(descriptor, $0, $1) } }
            return (descriptor, true)
        } catch {
            if error.code == EINPROGRESS { return (descriptor, false) }
            Glibc.close(descriptor)
            throw error
        }
    }

    private func finishConnecting() async throws(ConnectionFault) {
        var didTimeOut = false
        let timer = NetworkActor.schedule(after: ConnectionLimits.connectTimeout) {
            didTimeOut = true
            self.close()
        }
        defer { NetworkActor.cancel(timer) }
        await readiness.writable()
        guard !didTimeOut else { throw .timedOut }
        guard !isClosed else { throw .closedHere }
        let code = pendingError()
        guard code == 0 else {
            close()
            throw .system(SystemError(code: code))
        }
    }

    /// Waits until there may be something to read, or the socket is closed.
    func readable() async { await readiness.readable() }

    /// Waits until there may be room to write, or the socket is closed.
    func writable() async { await readiness.writable() }

    /// Tells a client of each change of readiness from now on, until the socket is closed.
    func notify(_ client: any LoopClient) {
        if !isClosed { readiness.client = client }
    }

    /// Whether the last read may have left something.
    var mayHaveMore: Bool { readiness.isReadable }
    /// Whether a write may find room, or would tell that the socket is closed.
    var mayTakeMore: Bool { readiness.isWritable || isClosed }

    /// Reads what is there; `.moved(0)` at the end of the stream.
    func receive(into buffer: UnsafeMutableRawBufferPointer) -> SystemCallResult {
        guard !isClosed else { return .moved(0) }
        readiness.willRead()
        let result = SystemCall.receive(descriptor, into: buffer)
        switch result {
        case .moved(buffer.count): readiness.didFillBuffer()
        case .wouldBlock: readiness.foundNothing()
        case .moved, .failed: break
        }
        return result
    }

    /// Writes what there is room for.
    func send(_ bytes: UnsafeRawBufferPointer) -> SystemCallResult {
        guard !isClosed else { return .failed(SystemError(code: EPIPE)) }
        readiness.willWrite()
        let result = SystemCall.send(descriptor, bytes)
        if case .moved(bytes.count) = result { readiness.didWriteAll() }
        return result
    }

    /// Closes the socket and wakes who waits for it.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        EventLoop.shared.unregister(readiness)
        Glibc.close(descriptor)
        readiness.close()
    }

    private func pendingError() -> Int32 {
        var code: Int32 = 0
        var byteCount = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &byteCount)
        return code
    }

    private func setOption(_ level: Int, _ name: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, Int32(level), name, &value, socklen_t(MemoryLayout<Int32>.size))
    }
}
