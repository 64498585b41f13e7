internal import BlockStore
internal import Glibc
internal import Multiformats
internal import Synchronization

/// A node on a home that this process has open.
///
/// Calls that block run on threads of their own. Jobs run while `run()` does.
public final class LocalNode: NodeService {
    /// How a node is opened.
    public struct Options: Sendable {
        public var storeLimit: UInt64?
        public var slots: Int
        public var memory: Int
        /// Whether this is a daemon, which resumes unfinished jobs, or one command.
        public var isDaemon: Bool

        /// Describes how to open a node.
        public init(storeLimit: UInt64? = nil, slots: Int, memory: Int, isDaemon: Bool) {
            self.storeLimit = storeLimit
            self.slots = slots
            self.memory = memory
            self.isDaemon = isDaemon
        }
    }

    let home: HomeFolder
    let options: Options
    let store: SQLiteBlockStore
    package let threads: WorkerThreads
    let adds = AddTable()
    let startedAt: Int64
    private let lock: HomeLock
    private let service = Mutex<JobService?>(nil)

    /// Opens the store of a home that is already claimed.
    ///
    /// Blocks its thread.
    ///
    /// - Throws: `NodeError` when the store cannot be opened.
    public init(home: HomeFolder, lock: HomeLock, options: Options) throws(NodeError) {
        self.home = home
        self.lock = lock
        self.options = options
        threads = WorkerThreads()
        startedAt = LocalNode.now()
        do throws(BlockStoreError) {
            store = try SQLiteBlockStore(
                path: home.blockDatabase,
                options: SQLiteBlockStoreOptions(limitByteCount: options.storeLimit)
            )
        } catch {
            throw NodeError(error)
        }
    }

    /// Executes jobs until `stop` is called or the task is cancelled.
    public func run() async { await jobService().run() }

    /// Lets running attempts end early; unfinished jobs are resumed by the next daemon.
    public func stop() async {
        if let service = service.withLock({ $0 }) { await service.stop() }
    }

    /// Closes the store; the node is not used any more.
    public func close() {
        adds.closeAll()
        store.close()
    }

    /// The jobs of this node, whose database is opened at the first use: most commands never need it.
    func jobService() -> JobService {
        service.withLock { service in
            if let service { return service }
            let made = JobService(
                store: store,
                configuration: JobConfiguration(
                    databasePath: home.jobDatabase,
                    slots: options.slots,
                    memoryByteCount: options.memory,
                    resumesJobs: options.isDaemon
                )
            )
            service = made
            return made
        }
    }

    /// Runs blocking work on the store.
    func onStore<Value: Sendable>(_ body: @escaping @Sendable (SQLiteBlockStore) throws -> Value) async throws
        -> Value
    {
        let store = store
        return try await threads.run {
            do { return try body(store) } catch let error as BlockStoreError { throw NodeError(error) }
        }
    }

    /// Milliseconds since 1970.
    static func now() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}

extension NodeError {
    /// What a user is told when the store fails.
    init(_ error: BlockStoreError) {
        let code: Code =
            switch error.code {
            case .notFound: error.offset == nil ? .notFound : .missingBlock
            case .noSuchPath: .notFound
            case .corrupt, .badNode: .corrupt
            case .badBlock, .badCAR: .damagedInput
            case .full: .full
            case .pinned, .inUse, .closed: .conflict
            case .busy: .locked
            case .newerSchema, .notAStore, .damagedStore, .io: .database
            case .unsupported, .notAFile, .notADirectory, .badPath, .badName: .invalidArgument
            case .specialFile: .file
            default: .internal
            }
        self.init(code, error.message)
    }
}
