import Glibc
import PeerNode

/// The daemon: reads flags and settings, claims the home, serves until a signal, drains.
enum Daemon {
    /// Longest time from a signal to the end, in seconds.
    static let drainSeconds: UInt32 = 9

    private static let options: [OptionSpec] = [
        .value("home", nil, "DIR", "folder of the node (default $PEERNODE_HOME, else ~/.peernode)"),
        .value(
            "listen",
            nil,
            "MULTIADDR",
            "address to listen on, also repeated (default \(NodeSettings.defaultListen[0]))"
        ),
        .value("bootstrap", nil, "MULTIADDR", "another node to meet first, also repeated"),
        .value("slots", nil, "N", "tasks at once (default: one a processor)"),
        .value("memory", nil, "SIZE", "memory of all tasks together (default 512M)"),
        .value("store-limit", nil, "SIZE", "most bytes of blocks (default: no limit)"),
        .value("swarm-key", nil, "FILE", "libp2p swarm.key of a private network"),
        .flag("diagnostics", nil, "speak the protocols of tests and benchmarks"),
        .value("log-level", nil, "LEVEL", "error, warning, info or debug"),
        .flag("help", "h", "explain"),
        .flag("version", nil, "print the version"),
    ]

    static func start() -> Never {
        let signals = DaemonSignals()
        let streams = StandardStreams()
        do {
            let parsed = try OptionTable(options).parse(Array(CommandLine.arguments.dropFirst()))
            if parsed.flag("help") { leave(streams, printing: help) }
            if parsed.flag("version") { leave(streams, printing: "peernode \(Version.text)\n") }
            if let operand = parsed.operands.first {
                throw UsageError("peernode takes no operand such as «\(operand)»")
            }
            try HomeFolder.check(parsed.value("home"))
            let home = HomeFolder(path: parsed.value("home"))
            let settings = try settings(parsed, home)
            Task { streams.leave(await serve(home, settings, signals, streams)) }
        } catch let error as UsageError {
            streams.note("peernode: \(error.message); `peernode --help` explains")
            streams.leave(2)
        } catch {
            let fault = NodeError.wrap(error)
            streams.note("peernode: \(fault.message)")
            streams.leave(fault.code == .invalidArgument ? 2 : 1)
        }
        signals.watch()
    }

    private static var help: String {
        """
        usage: peernode [options]

        Runs a node: stores blocks and runs jobs for `peerctl` and for other nodes.
        Settings of the same names may stand in HOME/config.toml as `key = value`; options win.

        Options:
        \(OptionTable(options).help)
        Example:
          peernode --home /srv/peernode --store-limit 200GiB

        """
    }

    private static func leave(_ streams: StandardStreams, printing text: String) -> Never {
        for line in text.dropLast().split(separator: "\n", omittingEmptySubsequences: false) {
            streams.line(String(line))
        }
        streams.leave(0)
    }

    /// The settings file, overruled by flags; lists of addresses are replaced, not extended.
    private static func settings(_ parsed: ParsedArguments, _ home: HomeFolder) throws -> NodeSettings {
        var settings = try NodeSettings.load(home)
        if !parsed.all("listen").isEmpty { settings.listen = [] }
        if !parsed.all("bootstrap").isEmpty { settings.bootstrap = [] }
        for name in NodeSettings.Name.allCases {
            for value in parsed.all(name.rawValue) { try settings.set(name, value) }
        }
        return settings
    }

    // MARK: Serving

    private static func serve(
        _ home: HomeFolder,
        _ settings: NodeSettings,
        _ signals: DaemonSignals,
        _ streams: StandardStreams
    ) async -> Int32 {
        let log = Log(level: settings.logLevel)
        do {
            try home.create()
            let lock = try await claim(home, log)
            let node = try LocalNode(home: home, lock: lock, options: options(of: settings, log))
            let identity = try await node.identity()
            let addresses = try await node.listen()
            let server = ControlServer(node: node, socketPath: home.socket, threads: WorkerThreads())
            try server.start()
            try await run(node, server, signals) {
                for address in addresses { streams.line("listening \(address)") }
                streams.line("ready")
                streams.flush()
                log(
                    .info,
                    "ready",
                    ["peer": identity.peerID, "home": home.path, "slots": "\(settings.slotCount)"]
                )
            }
            node.close()
            log(.info, "stopped")
            return 0
        } catch {
            let fault = NodeError.wrap(error)
            streams.note("peernode: \(fault.message)")
            return fault.code == .invalidArgument ? 2 : 1
        }
    }

    private static func options(of settings: NodeSettings, _ log: Log) -> LocalNode.Options {
        LocalNode.Options(
            storeLimit: settings.storeLimit,
            slots: settings.slotCount,
            memory: settings.memory,
            isDaemon: true,
            network: NetworkOptions(settings, log: log)
        )
    }

    /// Runs the parts of the daemon until a signal comes or one of them fails.
    private static func run(
        _ node: LocalNode,
        _ server: ControlServer,
        _ signals: DaemonSignals,
        ready: () -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await node.run() }
            group.addTask { await server.run() }
            group.addTask { await signals.wait() }
            ready()
            do {
                try await group.next()
            } catch {
                server.stop()
                throw error
            }
            alarm(drainSeconds)
            await node.stop()
            server.stop()
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    /// Claims the home; waits a little for commands that work embedded, and refuses at once beside a daemon.
    private static func claim(_ home: HomeFolder, _ log: Log) async throws -> HomeLock {
        for attempt in 0..<100 {
            if let lock = try HomeLock.claim(home, .exclusive) {
                lock.writeProcessID()
                return lock
            }
            guard try HomeLock.claim(home, .shared) != nil else {
                let holder = HomeLock.holder(of: home).map { " (process \($0))" } ?? ""
                throw NodeError(
                    .locked,
                    "a daemon\(holder) already runs on \(home.path); stop it, or use another --home"
                )
            }
            if attempt == 10 { log(.info, "waiting for commands that use the home", ["home": home.path]) }
            try await Task.sleep(for: .milliseconds(100))
        }
        throw NodeError(.locked, "commands are using \(home.path); start the daemon when they have ended")
    }
}
