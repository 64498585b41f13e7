import CLinux
import Glibc

/// What a socket call gave: bytes moved, nothing to move now, or an error.
enum SystemCallResult: Equatable {
    case moved(Int)
    case wouldBlock
    case failed(SystemError)
}

/// An error number of the operating system.
package struct SystemError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The `errno` of the call.
    package let code: Int32

    /// The system's own words for it.
    package var description: String { String(cString: strerror(code)) }
}

/// Calls whose `errno` must be read before anything else can run.
///
/// None is inlined: `errno` is declared constant, so the compiler might keep its address across a change of threads.
enum SystemCall {
    @inline(never)
    static func receive(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> SystemCallResult {
        while true {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count >= 0 { return .moved(count) }
            if errno != EINTR { return failure() }
        }
    }

    @inline(never)
    static func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> SystemCallResult {
        while true {
            let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return .moved(count) }
            if errno != EINTR { return failure() }
        }
    }

    /// Turns the result of a call that gives -1 on error into a thrown error.
    @inline(never)
    static func check(_ call: () -> Int32) throws(SystemError) -> Int32 {
        while true {
            let result = call()
            if result >= 0 { return result }
            if errno != EINTR { throw SystemError(code: errno) }
        }
    }

    private static func failure() -> SystemCallResult {
        errno == EAGAIN || errno == EWOULDBLOCK ? .wouldBlock : .failed(SystemError(code: errno))
    }
}
