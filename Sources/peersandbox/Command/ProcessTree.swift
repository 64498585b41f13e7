import Glibc

/// The processes that this one has started, and theirs, as /proc shows them.
struct ProcessTree {
    /// What they use.
    struct Usage {
        var processCount: UInt64 = 0
        /// Threads of all processes.
        var threadCount: UInt64 = 0
        /// Of those that live, and of those that this process has reaped.
        var cpuMilliseconds: UInt64 = 0
        var residentByteCount: UInt64 = 0
    }

    /// Below this process.
    static let own = ProcessTree()

    private static let ticksPerSecond = UInt64(sysconf(Int32(_SC_CLK_TCK)))
    private static let pageByteCount = UInt64(sysconf(Int32(_SC_PAGESIZE)))
    /// Number of process 1 in its namespace, which may signal all others at once.
    private static let first: pid_t = 1

    /// Counts what all processes below this one use.
    func usage() -> Usage {
        let processes = ProcessTree.processes()
        var usage = Usage()
        guard let own = ProcessTree.ownNumber else { return usage }
        var ticks = processes[own]?.reapedTicks ?? 0
        for process in ProcessTree.descendants(of: own, processes).compactMap({ processes[$0] }) {
            usage.processCount += 1
            usage.threadCount += process.threadCount
            usage.residentByteCount += process.pageCount * ProcessTree.pageByteCount
            ticks += process.ticks + process.reapedTicks
        }
        usage.cpuMilliseconds = ticks * 1000 / ProcessTree.ticksPerSecond
        return usage
    }

    /// Kills all processes below this one and reaps them, until none is left.
    func killAll() {
        while true {
            if getpid() == ProcessTree.first {
                kill(-1, SIGKILL)
            } else {
                for process in stopAll() { kill(process, SIGKILL) }
            }
            // Waits for one, takes all that have ended, then looks again: a killed process's children have become
            // this one's.
            guard waitpid(-1, nil, 0) > 0 || errno == EINTR else { return }
            while waitpid(-1, nil, WNOHANG) > 0 {}
        }
    }

    /// Stops all, until no new one shows up: those that fork are faster than /proc.
    private func stopAll() -> Set<pid_t> {
        guard let own = ProcessTree.ownNumber else { return [] }
        var stopped: Set<pid_t> = []
        while true {
            let found = Set(ProcessTree.descendants(of: own, ProcessTree.processes()))
            guard !found.isSubset(of: stopped) else { return found }
            for process in found.subtracting(stopped) { kill(process, SIGSTOP) }
            stopped = found
        }
    }
}

// MARK: - Reading /proc

extension ProcessTree {
    /// One line of /proc/N/stat.
    private struct Process {
        var parent: pid_t
        var ticks: UInt64
        /// Of children that it has reaped.
        var reapedTicks: UInt64
        var threadCount: UInt64
        var pageCount: UInt64

        /// Reads fields by their places in proc(5), from the third on: the second may hold anything.
        init?(_ line: [UInt8]) {
            guard let name = line.lastIndex(of: UInt8(ascii: ")")) else { return nil }
            let fields = line[(name + 1)...].split(separator: UInt8(ascii: " "))
            func field(_ place: Int) -> UInt64? { UInt64(String(decoding: fields[place - 3], as: UTF8.self)) }
            guard fields.count > 21, let parent = field(4), let user = field(14), let system = field(15),
                let childUser = field(16), let childSystem = field(17), let threads = field(20),
                let pages = field(24)
            else { return nil }
            self.parent = pid_t(parent)
            ticks = user + system
            reapedTicks = childUser + childSystem
            threadCount = threads
            pageCount = pages
        }
    }

    /// This process's number in /proc, which may be that of another namespace.
    private static var ownNumber: pid_t? {
        let text = [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
            count = buffer.withMemoryRebound(to: CChar.self) { buffer in
                buffer.baseAddress.map { max(0, readlink("/proc/self", $0, buffer.count)) } ?? 0
            }
        }
        return pid_t(String(decoding: text, as: UTF8.self))
    }

    private static func processes() -> [pid_t: Process] {
        var processes: [pid_t: Process] = [:]
        guard let folder = opendir("/proc") else { return processes }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard let number = pid_t(name), let process = process(number) else { continue }
            processes[number] = process
        }
        return processes
    }

    private static func process(_ number: pid_t) -> Process? {
        let file = open("/proc/\(number)/stat", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        return Process(
            [UInt8](unsafeUninitializedCapacity: 1024) { buffer, count in
                count = max(0, read(file, buffer.baseAddress, buffer.count))
            }
        )
    }

    private static func descendants(of root: pid_t, _ processes: [pid_t: Process]) -> [pid_t] {
        let children = Dictionary(grouping: processes.keys) { processes[$0]?.parent ?? 0 }
        var found: [pid_t] = []
        var open = [root]
        while let parent = open.popLast() {
            let next = children[parent] ?? []
            found += next
            open += next
        }
        return found
    }
}
