import CLinux
import FunctionProtocol
import Glibc

/// A helper process and the socket to it; killed and reaped when this is given up.
///
/// **Environment** of the process: nothing of this one's but what is listed here.
final class HelperProcess {
    /// Longest text of the process's standard error that is kept for a failure's message, in bytes.
    static let maxErrorTextByteCount = 2 << 10

    /// Where the helper finds its socket.
    private static let socketNumber: Int32 = 3
    /// Where it finds the page on which it says where an attempt is.
    private static let pageNumber: Int32 = 4
    /// Descriptors are moved here first, so that none is overwritten before it is copied to its place.
    private static let lowestFreeNumber: Int32 = 20
    /// `GIGACAGE_ENABLED`: JavaScriptCore else reserves 64 GiB of addresses, more than the limit on addresses admits.
    private static let environment = [
        "GIGACAGE_ENABLED=0", "LANG=C.UTF-8", "SWIFT_BACKTRACE=enable=no", "TZ=UTC",
    ]

    /// Longest wait for a supervisor to end what it supervises, in milliseconds.
    private static let supervisorMilliseconds: Int32 = 5_000

    let identifier: pid_t
    /// Does not block.
    let socket: Int32
    /// What it says of where the attempt is.
    let page: PlacePage
    private let errorText: Int32
    private var waitStatus: Int32?
    /// The process supervises others, and ends them before itself when it is asked to.
    private let supervises: Bool

    /// Starts `executable` for functions of one kind, whose process may have `memoryByteLimit` bytes; 0: as many as it likes.
    ///
    /// - Throws: `sandbox`, saying what failed.
    init(_ executable: String, for engine: EngineKind, memoryByteLimit: UInt64) throws(FunctionFault) {
        let socket = try DescriptorPair.socket()
        let errorText = try DescriptorPair.pipe()
        let pageFile = try HelperProcess.makePageFile()
        defer { close(pageFile) }
        guard let page = PlacePage(descriptor: pageFile) else { throw cannot("map a page", errno) }
        self.page = page
        identifier = try HelperProcess.spawn(
            executable,
            [executable, "\(engine.rawValue)"],
            HelperProcess.environment(for: engine, memoryByteLimit: memoryByteLimit),
            socket: socket.far,
            errorText: errorText.far,
            page: pageFile
        )
        supervises = engine == .command
        self.socket = socket.takeNear()
        self.errorText = errorText.takeNear()
    }

    deinit {
        end()
        close(socket)
        close(errorText)
    }

    /// Kills the process and all of its group, and reaps it; returns its wait status.
    @discardableResult
    func end() -> Int32 {
        if let waitStatus { return waitStatus }
        if supervises { endSupervised() }
        kill(-identifier, SIGKILL)
        kill(identifier, SIGKILL)
        var status: Int32 = 0
        while waitpid(identifier, &status, 0) == -1, errno == EINTR {}
        waitStatus = status
        return status
    }

    /// Asks a supervisor to end all it supervises, wherever that went, and waits for it.
    private func endSupervised() {
        var ended = pollfd(fd: open_process(identifier), events: Int16(POLLIN), revents: 0)
        guard ended.fd >= 0 else { return }
        defer { close(ended.fd) }
        kill(identifier, SIGTERM)
        while poll(&ended, 1, HelperProcess.supervisorMilliseconds) == -1, errno == EINTR {}
    }

    /// Why it ended, in words; ends it if it has not.
    func fault() -> FunctionFault {
        let status = end()
        let signal = status & 0x7f
        let text = readErrorText()
        return FunctionFault(
            .threw,
            "the process for functions ended: "
                + (signal == 0
                    ? "status \(status >> 8)" : "killed by \(HelperProcess.name(ofSignal: signal))")
                + (text.isEmpty ? "" : ": \(text)")
        )
    }

    /// Forgets what the process wrote to its standard error until now.
    func dropErrorText() {
        while !readErrorText().isEmpty {}
    }

    private static func name(ofSignal signal: Int32) -> String {
        strsignal(signal).map { "signal \(signal) (\(String(cString: $0)))" } ?? "signal \(signal)"
    }

    /// The front of what the process wrote to its standard error.
    private func readErrorText() -> String {
        let bytes = [UInt8](unsafeUninitializedCapacity: HelperProcess.maxErrorTextByteCount) {
            buffer,
            count in
            count = max(0, read(errorText, buffer.baseAddress, buffer.count))
        }
        let lines = String(decoding: bytes, as: UTF8.self).split(
            separator: "\n",
            omittingEmptySubsequences: false
        )
        return lines.filter { !$0.hasPrefix(HelperProcess.engineWarning) }.joined(separator: "\n")
    }

    /// What JavaScriptCore says of each process that is started as ours are.
    private static let engineWarning = "Warning: disabling gigacage"
}

// MARK: - What it uses

extension HelperProcess {
    /// Processor time of all its threads in milliseconds.
    var cpuMilliseconds: UInt64 {
        var clock = clockid_t()
        var time = timespec()
        guard clock_getcpuclockid(identifier, &clock) == 0, clock_gettime(clock, &time) == 0 else { return 0 }
        return time.milliseconds
    }

    /// Resident memory in bytes; 0 when it is not told.
    var residentByteCount: UInt64 {
        let file = open("/proc/\(identifier)/statm", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return 0 }
        defer { close(file) }
        let text = [UInt8](unsafeUninitializedCapacity: 128) { buffer, count in
            count = max(0, read(file, buffer.baseAddress, buffer.count))
        }
        // Total, then resident, in pages.
        let fields = text.split(separator: UInt8(ascii: " "), maxSplits: 2)
        guard fields.count > 1, let pages = UInt64(String(decoding: fields[1], as: UTF8.self)) else {
            return 0
        }
        return pages * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }
}

extension timespec {
    /// Time of the clock that never goes back, in milliseconds.
    static var nowMilliseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.milliseconds
    }

    fileprivate var milliseconds: UInt64 { UInt64(tv_sec) * 1000 + UInt64(tv_nsec) / 1_000_000 }
}

// MARK: - Starting it

extension HelperProcess {
    /// All that it finds in its environment; a command also finds programs as this process does.
    private static func environment(for engine: EngineKind, memoryByteLimit: UInt64) -> [String] {
        switch engine {
        case .javaScript, .probe: environment + ["JSC_useWasmFastMemory=0"] + heapOptions(memoryByteLimit)
        case .webAssembly: environment + moduleOptions + heapOptions(memoryByteLimit)
        case .command: environment + (getenv("PATH").map { ["PATH=" + String(cString: $0)] } ?? [])
        }
    }

    /// What JavaScriptCore is told for WebAssembly alone.
    ///
    /// - `JSC_useWasmFastMemory`: memories of 4 GiB of addresses, whose end the processor finds: code that checks no bounds is
    ///   a fifth faster.
    /// - `JSC_maxNumWasmFastMemories`: those of past attempts are garbage, collected from half as many on as are admitted.
    /// - `JSC_thresholdForOptimizeAfterWarmUp` and `…AfterLongWarmUp`, 20 times the usual: the JavaScript around a module is
    ///   called once for 32 KiB, and to compile it well takes longer than it runs, unless the module emits record by record.
    private static let moduleOptions = [
        "JSC_useWasmFastMemory=1", "JSC_maxNumWasmFastMemories=8",
        "JSC_thresholdForOptimizeAfterWarmUp=20000", "JSC_thresholdForOptimizeAfterLongWarmUp=20000",
    ]

    /// What JavaScriptCore is told of the memory that there is.
    ///
    /// - `JSC_useConcurrentGC`: collections that run beside the function let it make garbage meanwhile, without end when the
    ///   processors have other work, and the slots see to it that they have.
    /// - `JSC_forceRAMSize`: what it takes for the machine's memory: the more of it is in use, the less garbage it lets come
    ///   together. Half of the limit; the other half is for what is no heap: the engine itself, compiled code, records on
    ///   their way. Without it as much garbage as there are objects in use comes together, up to gigabytes.
    /// - `JSC_useGenerationalGC`: collections of young objects alone let the heap grow by what survives them, up to half as much
    ///   again. Where little memory is allowed all of it is collected each time.
    /// - `JSC_smallHeapSize`: garbage that may come together before it is collected for the first time. By default it is
    ///   1 MiB, which two attempts leave behind: a third of a short attempt was the collection of those before.
    private static func heapOptions(_ memoryByteLimit: UInt64) -> [String] {
        let alone = "JSC_useConcurrentGC=0"
        guard memoryByteLimit > 0 else { return [alone, "JSC_smallHeapSize=\(maxYoungByteCount)"] }
        let young = min(maxYoungByteCount, memoryByteLimit / youngShare)
        // The option has 32 bits; above that the limit is far away.
        let isFar = memoryByteLimit / 2 > UInt32.max
        let memory = isFar ? [] : ["JSC_forceRAMSize=\(memoryByteLimit / 2)"]
        let whole = memoryByteLimit <= maxTightByteLimit ? ["JSC_useGenerationalGC=0"] : []
        return [alone, "JSC_smallHeapSize=\(young)"] + memory + whole
    }

    /// Up to this limit on memory, in bytes, the whole heap is collected each time.
    private static let maxTightByteLimit: UInt64 = 256 << 20
    /// Most garbage before the first collection, in bytes.
    private static let maxYoungByteCount: UInt64 = 16 << 20
    /// The part of the limit on memory that it is at most: little beside what the limit leaves for garbage later.
    private static let youngShare: UInt64 = 32
}

private func cannot(_ operation: String, _ number: Int32) -> FunctionFault {
    FunctionFault(
        .sandbox,
        "the process for functions did not start: cannot \(operation): \(String(cString: strerror(number)))"
    )
}

extension HelperProcess {
    private static func spawn(
        _ executable: String,
        _ arguments: [String],
        _ environment: [String],
        socket: Int32,
        errorText: Int32,
        page: Int32
    ) throws(FunctionFault) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, errorText, STDERR_FILENO)
        posix_spawn_file_actions_adddup2(&actions, socket, socketNumber)
        posix_spawn_file_actions_adddup2(&actions, page, pageNumber)
        posix_spawn_file_actions_addclosefrom_np(&actions, pageNumber + 1)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // A terminal's Ctrl-C is for the node, and the session's number names the group to kill.
        spawn_in_own_session(&attributes)

        var identifier: pid_t = 0
        let number = withCStrings(arguments) { arguments in
            withCStrings(environment) {
                posix_spawn(&identifier, executable, &actions, &attributes, arguments, $0)
            }
        }
        guard number == 0 else { throw cannot("start \(executable)", number) }
        return identifier
    }

    private static func makePageFile() throws(FunctionFault) -> Int32 {
        let file = make_sealed_memory(PlacePage.byteCount)
        guard file >= 0 else { throw cannot("make a page to share", errno) }
        defer { close(file) }
        let copy = fcntl(file, F_DUPFD_CLOEXEC, lowestFreeNumber)
        guard copy >= 0 else { throw cannot("copy a descriptor", errno) }
        return copy
    }

    private static func withCStrings<Result>(
        _ strings: [String],
        _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        return body(copies + [nil])
    }

    /// Two joined descriptors, both closed on exec; this process keeps the near one, which does not block.
    private final class DescriptorPair {
        private(set) var near: Int32
        let far: Int32

        private init(near: Int32, far: Int32) {
            self.near = near
            self.far = far
        }

        deinit {
            if near >= 0 { close(near) }
            close(far)
        }

        static func socket() throws(FunctionFault) -> DescriptorPair {
            var pair: [Int32] = [-1, -1]
            guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &pair) == 0
            else {
                throw cannot("make a socket pair", errno)
            }
            return try DescriptorPair(pair)
        }

        /// The far end is for writing and does not block either: nobody reads while the process lives.
        static func pipe() throws(FunctionFault) -> DescriptorPair {
            var pair: [Int32] = [-1, -1]
            guard pipe2(&pair, O_CLOEXEC | O_NONBLOCK) == 0 else {
                throw cannot("make a pipe", errno)
            }
            return try DescriptorPair(pair)
        }

        private convenience init(_ pair: [Int32]) throws(FunctionFault) {
            let far = fcntl(pair[1], F_DUPFD_CLOEXEC, lowestFreeNumber)
            let number = errno
            close(pair[1])
            guard far >= 0, fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 else {
                close(pair[0])
                throw cannot("copy a descriptor", number)
            }
            self.init(near: pair[0], far: far)
        }

        /// The near end, which the caller closes from now on.
        func takeNear() -> Int32 {
            defer { near = -1 }
            return near
        }
    }
}
