import PeerNode

/// The node that a command works on.
struct NodeAccess: Sendable {
    /// How it is asked; the daemon's or this process's own.
    var service: any NodeService
    /// The node of this process, when no daemon runs.
    var local: LocalNode?
}

extension Invocation {
    /// Opens the home, through its daemon when one runs, and closes it after `body`.
    ///
    /// With `runsJobs` this process executes jobs when there is no daemon.
    func withNode(runsJobs: Bool = false, _ body: @escaping @Sendable (NodeAccess) async throws -> Void)
        async throws
    {
        let home = home
        try home.create()
        guard let lock = try HomeLock.claim(home, .shared) else {
            let streams = session.streams
            let remote = RemoteNode(socketPath: home.socket) {
                streams.note("peerctl: waiting for the daemon of \(home.path) to answer")
            }
            try await session.waiting(for: "the daemon of \(home.path) to answer") {
                try await remote.waitUntilReachable()
            }
            return try await body(NodeAccess(service: remote, local: nil))
        }
        let node = try LocalNode(home: home, lock: lock, options: try embeddedOptions(home))
        defer { node.close() }
        let access = NodeAccess(service: node, local: node)
        guard runsJobs else { return try await body(access) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await node.run() }
            do { try await body(access) } catch {
                await node.stop()
                throw error
            }
            await node.stop()
            try await group.waitForAll()
        }
    }

    /// How this process opens the home: as its settings say, unless the command says otherwise.
    private func embeddedOptions(_ home: HomeFolder) throws -> LocalNode.Options {
        let settings = try NodeSettings.load(home)
        let slots = try arguments.value("slots").map { try NodeSettings.slots($0) } ?? settings.slotCount
        let memory = try size("memory").map { Int($0) } ?? settings.memory
        return LocalNode.Options(
            storeLimit: settings.storeLimit,
            slots: slots,
            memory: memory,
            isDaemon: false
        )
    }
}
