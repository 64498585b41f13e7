import CLinux
import Glibc
import Multiformats

/// A TCP socket that takes connections.
@NetworkActor
final class ListeningSocket {
    /// Where it listens; the port is the real one.
    let local: TCPEndpoint
    private let descriptor: Int32
    private let readiness = Readiness()
    private var isClosed = false

    /// Binds and listens.
    ///
    /// - Throws: `SystemError`, such as `EADDRINUSE`.
    init(on address: SocketAddress) throws(SystemError) {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = try SystemCall.check { socket(address.family, type, 0) }
        do throws(SystemError) {
            local = try Self.listen(descriptor, on: address)
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        self.descriptor = descriptor
        EventLoop.shared.register(readiness, descriptor: descriptor)
    }

    private static func listen(_ descriptor: Int32, on address: SocketAddress) throws(SystemError)
        -> TCPEndpoint
    {
        var one: Int32 = 1
        let byteCount = socklen_t(MemoryLayout<Int32>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, byteCount)
        // An IPv6 listener takes IPv6 alone, so that both may listen on one port.
        if address.family == AF_INET6 {
            setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &one, byteCount)
        }
        _ = try SystemCall.check { address.withSocketAddress { bind(descriptor, $0, $1) } }
        _ = try SystemCall.check { Glibc.listen(descriptor, ConnectionLimits.acceptBacklog) }
        let bound = try SocketAddress { getsockname(descriptor, $0, $1) }
        guard let endpoint = bound.endpoint else { throw SystemError(code: EAFNOSUPPORT) }
        return endpoint
    }

    /// Waits for the next connection; `nil` once closed.
    ///
    /// When the process has no descriptor left it waits a little and tries again.
    func accept() async -> Socket? {
        while !isClosed {
            await readiness.readable()
            guard !isClosed else { return nil }
            readiness.willRead()
            switch acceptNow() {
            case .success(let socket):
                readiness.didFillBuffer()
                return socket
            case .failure(let error):
                guard error.code != EAGAIN else { continue }
                readiness.didFillBuffer()
                if error.code == EMFILE || error.code == ENFILE || error.code == ENOMEM {
                    await NetworkActor.sleep(.milliseconds(100))
                }
            }
        }
        return nil
    }

    private func acceptNow() -> Result<Socket, SystemError> {
        do throws(SystemError) {
            var accepted: Int32 = -1
            let flags = Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            let address = try SocketAddress { pointer, count in
                accepted = accept4(descriptor, pointer, count, flags)
                return accepted
            }
            guard let remote = address.endpoint else {
                Glibc.close(accepted)
                throw SystemError(code: EAFNOSUPPORT)
            }
            return .success(Socket(descriptor: accepted, remote: remote))
        } catch {
            return .failure(error)
        }
    }

    /// Stops listening.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        EventLoop.shared.unregister(readiness)
        Glibc.close(descriptor)
        readiness.close()
    }
}
