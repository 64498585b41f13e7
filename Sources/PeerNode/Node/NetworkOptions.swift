/// How a daemon takes part in a network.
public struct NetworkOptions: Sendable {
    /// Multiaddrs to listen on.
    public var listen: [String]
    /// Multiaddrs of peers to begin with.
    public var bootstrap: [String]
    /// Path of a libp2p `swarm.key`; `nil`: an open network.
    public var swarmKey: String?
    /// Serve the protocols for tests and benchmarks.
    public var diagnostics: Bool
    /// Takes what is worth a line.
    public var log: Log

    /// Describes a place in a network.
    public init(listen: [String], bootstrap: [String], swarmKey: String?, diagnostics: Bool, log: Log) {
        self.listen = listen
        self.bootstrap = bootstrap
        self.swarmKey = swarmKey
        self.diagnostics = diagnostics
        self.log = log
    }

    /// What the settings say; the usual address when they name none.
    public init(_ settings: NodeSettings, log: Log) {
        self.init(
            listen: settings.listen.isEmpty ? NodeSettings.defaultListen : settings.listen,
            bootstrap: settings.bootstrap,
            swarmKey: settings.swarmKey,
            diagnostics: settings.diagnostics,
            log: log
        )
    }
}
