import FunctionProtocol
import Glibc

/// One attempt of a command: moves input and output both at once, and holds the limits on all of its processes.
struct CommandExchange {
    /// Time between two looks at the command's processes, in milliseconds.
    private static let lookMilliseconds: UInt64 = 50
    /// Bytes read at a time.
    private static let readByteCount = 256 << 10

    private let process: CommandProcess
    private let limits: FunctionLimits
    /// What the command writes there is memory.
    private let folders: CommandFolders
    private let channel: Channel
    private var lines = InputLines()
    private var pairs: PairLines
    private var errors = ErrorLines()
    private var isInputOver = false
    private var status: Int32?
    private let cpuAtStart: UInt64
    private var lastLook = timespec.nowMilliseconds
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: readByteCount, alignment: 16)

    init(
        _ process: CommandProcess,
        _ role: FunctionRole,
        _ limits: FunctionLimits,
        _ folders: CommandFolders,
        _ channel: Channel
    ) {
        self.process = process
        pairs = PairLines(of: role)
        self.limits = limits
        self.folders = folders
        self.channel = channel
        cpuAtStart = ProcessTree.own.usage().cpuMilliseconds
    }

    /// Runs until the shell has ended and all that it wrote is passed on.
    mutating func run() throws(FunctionFault) {
        defer { buffer.deallocate() }
        while status == nil {
            try step()
            try look()
            reap()
        }
        // What still holds the pipes is no longer waited for: it ends, and its output so far counts.
        ProcessTree.own.killAll()
        try readAll()
        try pairs.finish(channel)
        errors.finish(channel)
        try check()
    }
}

// MARK: - Moving bytes

extension CommandExchange {
    private mutating func step() throws(FunctionFault) {
        let wantsFrame = process.input >= 0 && lines.isEmpty && !isInputOver
        // A descriptor of -1 is passed over.
        var polled = [
            pollfd(fd: wantsFrame ? Channel.descriptor : -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: lines.isEmpty ? -1 : process.input, events: Int16(POLLOUT), revents: 0),
            pollfd(fd: process.output, events: Int16(POLLIN), revents: 0),
            pollfd(fd: process.errors, events: Int16(POLLIN), revents: 0),
            pollfd(fd: process.ended, events: Int16(POLLIN), revents: 0),
        ]
        poll(&polled, nfds_t(polled.count), Int32(CommandExchange.lookMilliseconds))
        if polled[2].revents != 0 { try readOutput() }
        if polled[3].revents != 0 { readErrors() }
        if polled[0].revents != 0 { try takeFrame() }
        if polled[0].revents != 0 || polled[1].revents != 0 { write() }
    }

    private mutating func takeFrame() throws(FunctionFault) {
        if let frame = try channel.next() {
            try lines.take(frame)
        } else {
            isInputOver = true
            process.closeInput()
        }
    }

    private mutating func write() {
        while !lines.isEmpty {
            let count = lines.withUnwritten { Glibc.write(process.input, $0.baseAddress, $0.count) }
            if count > 0 {
                lines.wrote(count)
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR {
                // The command reads no more, which is its right.
                lines.drop()
                process.closeInput()
            }
        }
    }

    /// - Returns: what was read; empty when there is nothing for now, `nil` at the end.
    private func read(_ descriptor: Int32) -> UnsafeRawBufferPointer? {
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if count > 0 { return UnsafeRawBufferPointer(rebasing: buffer[..<count]) }
            if count == 0 { return nil }
            if errno != EINTR { return UnsafeRawBufferPointer(rebasing: buffer[..<0]) }
        }
    }

    @discardableResult
    private mutating func readOutput() throws(FunctionFault) -> Bool {
        guard let bytes = read(process.output) else {
            process.closeOutput()
            return false
        }
        try pairs.take(bytes, channel)
        return !bytes.isEmpty
    }

    @discardableResult
    private mutating func readErrors() -> Bool {
        guard let bytes = read(process.errors) else {
            process.closeErrors()
            return false
        }
        errors.take(bytes, channel)
        return !bytes.isEmpty
    }

    private mutating func readAll() throws(FunctionFault) {
        while process.output >= 0, try readOutput() {}
        while process.errors >= 0, readErrors() {}
    }
}

// MARK: - Its processes

extension CommandExchange {
    /// Reaps the shell, and orphans of the command.
    private mutating func reap() {
        var ended: Int32 = 0
        while case let identifier = waitpid(-1, &ended, WNOHANG), identifier > 0 {
            if identifier == process.identifier { status = ended }
        }
    }

    private mutating func look() throws(FunctionFault) {
        let now = timespec.nowMilliseconds
        guard now - lastLook >= CommandExchange.lookMilliseconds else { return }
        lastLook = now
        let usage = ProcessTree.own.usage()
        let cpu = usage.cpuMilliseconds - min(cpuAtStart, usage.cpuMilliseconds)
        // A bomb of processes soon passes the others too.
        try check("processes", max(usage.processCount, usage.threadCount), limits.processCount, .processes)
        try check("processor time", cpu, limits.cpuMilliseconds, .milliseconds)
        let memory = usage.residentByteCount + folders.usedByteCount
        try check("memory", memory, limits.memoryByteCount, .bytes)
    }

    private func check(
        _ what: String,
        _ used: UInt64,
        _ limit: UInt64,
        _ unit: LimitUnit
    ) throws(FunctionFault) {
        guard limit > 0, used > limit else { return }
        var fault = FunctionFault.passed(limitOn: what, limit, unit)
        fault.stack = errors.tail
        throw fault
    }

    /// Status 0 is success, all else the command's failure.
    private func check() throws(FunctionFault) {
        guard let status, status != 0 else { return }
        let signal = status & 0x7f
        let end =
            signal == 0
            ? "with status \(status >> 8)" : "by signal \(signal) (\(String(cString: strsignal(signal))))"
        throw FunctionFault(.threw, "the command ended \(end)", stack: errors.tail)
    }
}

extension timespec {
    /// Time of the clock that never goes back, in milliseconds.
    fileprivate static var nowMilliseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
    }
}
