import LibP2P
import Multiformats

/// The protocols that a host serves, shared by its connections.
@NetworkActor
final class ProtocolTable {
    typealias Handler = @Sendable @NetworkActor (PeerID, MuxedStream) async throws -> Void

    /// How one protocol is served.
    struct Service {
        let maxStreamCount: Int
        let handler: Handler
    }

    private(set) var services: [String: Service] = [:]
    /// The names in one set, which every inbound stream's negotiation shares.
    private(set) var names: Set<String> = []

    func serve(_ name: String, maxStreamCount: Int, _ handler: @escaping Handler) {
        services[name] = Service(maxStreamCount: maxStreamCount, handler: handler)
        names.insert(name)
    }
}
