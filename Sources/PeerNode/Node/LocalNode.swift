internal import BlockStore
internal import Database
internal import Engines
internal import FunctionProtocol
internal import Glibc
internal import Multiformats
internal import Synchronization

/// A node on a home that this process has open.
///
/// Calls that block run on threads of their own. Jobs run while `run()` does.
public final class LocalNode: NodeService {
    /// How a node is opened.
    public struct Options: Sendable {
        /// Most bytes of blocks; `nil`: no limit.
        public var storeLimit: UInt64?
        /// Attempts that run at once.
        public var slots: Int
        /// Memory of all attempts together, in bytes.
        public var memory: Int
        /// Whether this is a daemon, which resumes unfinished jobs, or one command.
        public var isDaemon: Bool

        /// How it takes part in a network; `nil`: it is alone.
        public var network: NetworkOptions?

        /// Describes how to open a node.
        public init(
            storeLimit: UInt64? = nil,
            slots: Int,
            memory: Int,
            isDaemon: Bool,
            network: NetworkOptions? = nil
        ) {
            self.network = network
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
    /// Who may have this node run what.
    let gate: PolicyGate
    private let lock: HomeLock
    private let service = Mutex<JobService?>(nil)
    /// `nil`: the node is alone.
    let network: NodeNetwork?

    /// Opens the store of a home that is already claimed.
    ///
    /// Blocks its thread.
    ///
    /// - Throws: `NodeError` when the store cannot be opened, or a daemon's policy not be read.
    public init(home: HomeFolder, lock: HomeLock, options: Options) throws(NodeError) {
        self.home = home
        self.lock = lock
        self.options = options
        let gate = PolicyGate(home: home, inPrivateNetwork: options.network?.swarmKey != nil)
        // A daemon does not start with a policy that it cannot follow; a command reads it when it matters.
        if options.isDaemon {
            _ = try gate.policy()
            // What a process that died left behind; this one has the home for itself.
            if !FolderContents.removeFolder(home.workFolder) {
                options.network?.log(.warning, "work", ["left": home.workFolder])
            }
        }
        self.gate = gate
        threads = WorkerThreads()
        startedAt = LocalNode.now()
        let store: SQLiteBlockStore
        do throws(BlockStoreError) {
            store = try SQLiteBlockStore(
                path: home.blockDatabase,
                options: SQLiteBlockStoreOptions(limitByteCount: options.storeLimit)
            )
        } catch {
            throw NodeError(error)
        }
        self.store = store
        if options.isDaemon { try LocalNode.checkJobs(home) }
        store.whenFull { [weak store, path = home.jobDatabase] byteCount in
            guard let store else { return }
            RememberedOutputs(store: store, databasePath: path).makeRoom(byteCount: byteCount)
        }
        guard let network = options.network else {
            self.network = nil
            return
        }
        var made: JobService?
        self.network = try NodeNetwork(network, home: home, store: store) { exchange in
            let service = LocalNode.makeService(store, home, options, gate, exchange)
            made = service
            return service
        }
        let service = made
        self.service.withLock { $0 = service }
    }

    /// A daemon does not start when it could not write its jobs down.
    private static func checkJobs(_ home: HomeFolder) throws(NodeError) {
        let database = JobDatabase(path: home.jobDatabase)
        do throws(DatabaseError) { try database.check() } catch {
            throw NodeError(.database, database.explanation(of: error))
        }
    }

    /// Binds the addresses to listen on.
    ///
    /// - Returns: where others may dial, with this node's id; none when the node is alone.
    public func listen() async throws -> [String] { try await network?.listen() ?? [] }

    /// Executes jobs until `stop` is called or the task is cancelled.
    public func run() async {
        await withDiscardingTaskGroup { group in
            if let network {
                group.addTask { await self.trySandbox() }
                group.addTask { await network.run() }
            }
            await jobService().run()
            group.cancelAll()
        }
    }

    /// Learns what the sandbox lacks on this machine, and says so.
    private func trySandbox() async {
        let state = await jobService().library.sandboxState()
        let allowsUnconfined = (try? gate.policy().allowsUnconfined) ?? false
        if let warning = state.warning(allowsUnconfined: allowsUnconfined) {
            options.network?.log(.warning, "sandbox", ["state": warning])
        }
    }

    /// Lets running attempts end early; unfinished jobs are resumed by the next daemon.
    public func stop() async {
        if let service = service.withLock({ $0 }) { await service.stop() }
        await network?.stop()
    }

    /// Closes the store; the node is not used any more.
    public func close() {
        adds.closeAll()
        store.close()
    }

    /// The outputs that this node remembers.
    var rememberedOutputs: RememberedOutputs {
        RememberedOutputs(store: store, databasePath: home.jobDatabase)
    }

    /// The jobs of this node, whose database is opened at the first use: most commands never need it.
    func jobService() -> JobService {
        service.withLock { service in
            if let service { return service }
            let made = LocalNode.makeService(store, home, options, gate, nil)
            service = made
            return made
        }
    }

    private static func makeService(
        _ store: SQLiteBlockStore,
        _ home: HomeFolder,
        _ options: Options,
        _ gate: PolicyGate,
        _ exchange: Exchange?
    ) -> JobService {
        let configuration = JobConfiguration(
            databasePath: home.jobDatabase,
            slots: options.slots,
            memoryByteCount: options.memory,
            workFolderPath: home.workFolder,
            homeFolderPath: home.path,
            resumesJobs: options.isDaemon
        )
        return JobService(
            store: store,
            configuration: configuration,
            engines: StandardEngines(),
            exchange: exchange,
            policy: gate
        )
    }

    /// Runs blocking work on the store, and on the network's where blocks are not here.
    ///
    /// - Parameters:
    ///   - root: what is read; everything under it is fetched ahead when `isWhole`.
    ///   - isWhole: `body` reads all of it.
    ///   - body: blocks its thread.
    /// - Returns: what `body` returns.
    /// - Throws: what `body` throws; `NodeError` for a block that nobody has.
    func onBlocks<Value: Sendable>(
        of root: CID,
        isWhole: Bool,
        _ body: @escaping @Sendable (any BlockStore) throws -> Value
    ) async throws -> Value {
        guard let network else { return try await onStore { try body($0) } }
        let store = store
        do {
            if isWhole { return try await network.exchange.reading(root, in: store) { try body($0) } }
            let reading = FetchingStore(store, exchange: network.exchange)
            return try await withTaskCancellationHandler {
                try await threads.run { try body(reading) }
            } onCancel: {
                reading.cancel()
            }
        } catch let error as BlockStoreError {
            throw NodeError(error)
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
            case .unsupported, .notAFile, .notADirectory: .wrongKind
            case .badPath, .badName: .invalidArgument
            case .specialFile: .file
            default: .internal
            }
        self.init(code, error.message)
    }
}
