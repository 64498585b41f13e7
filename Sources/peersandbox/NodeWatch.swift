import Glibc

/// Ends the process when the node hangs up, even while a function runs that never returns.
enum NodeWatch {
    /// Starts the thread that watches.
    static func start() {
        var thread = pthread_t()
        pthread_create(&thread, nil, { _ in NodeWatch.wait() }, nil)
    }

    private static func wait() -> Never {
        while true {
            var socket = pollfd(fd: Channel.descriptor, events: Int16(peerHungUp), revents: 0)
            if poll(&socket, 1, -1) > 0 { _exit(0) }
        }
    }

    /// POLLRDHUP: the other end is closed, whatever is left to read.
    private static let peerHungUp: Int32 = 0x2000
}
