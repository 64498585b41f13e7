import LibP2P
import Multiformats

/// The protocols that a host serves, shared by its connections.
@NetworkActor
final class ProtocolTable {
    typealias Handler = @Sendable @NetworkActor (PeerID, MuxedStream) async throws -> Void

    /// How one protocol is served.
    struct Service {
        /// Who answers.
        enum Manner {
            /// A task for each stream.
            case handler(Handler)
            /// A machine for each stream, made at a time: the connection asks it in the turn in which bytes come.
            case responder(@Sendable (Duration) -> any StreamResponder)
        }

        let maxStreamCount: Int
        let manner: Manner
    }

    private(set) var services: [String: Service] = [:]
    /// The names in one set, which every inbound stream's negotiation shares.
    private(set) var names: Set<String> = []

    func serve(_ name: String, maxStreamCount: Int, _ handler: @escaping Handler) {
        add(name, Service(maxStreamCount: maxStreamCount, manner: .handler(handler)))
    }

    func serve(
        _ name: String,
        maxStreamCount: Int,
        respondingBy makeResponder: @escaping @Sendable (Duration) -> any StreamResponder
    ) {
        add(name, Service(maxStreamCount: maxStreamCount, manner: .responder(makeResponder)))
    }

    private func add(_ name: String, _ service: Service) {
        services[name] = service
        names.insert(name)
    }
}
