import LibP2P
import Multiformats
import PeerNode

/// A peer whose answers a test writes by hand.
struct ScriptedPeer: Sendable {
    /// Writes a message to whoever wanted something.
    typealias Reply = @Sendable (BitswapMessage) async throws -> Void
    typealias Script = @Sendable (BitswapMessage, Reply) async throws -> Void

    let host: MemoryHost

    /// Adds a peer to the network that answers every message by `script`.
    ///
    /// With `onInboundStream` it answers on the stream that the wants came in on, as py-libp2p does.
    init(
        _ number: UInt8,
        in network: MemoryNetwork,
        onInboundStream: Bool = false,
        script: @escaping Script
    ) async {
        let host = await network.makeHost(number)
        self.host = host
        await host.serve(BitswapMessage.protocolID) { peer, stream in
            var reader = DelimitedReader(maxByteCount: BitswapMessage.maxByteCount)
            while let chunk = try await stream.read(atMost: 65_536) {
                var rest = chunk[...]
                while let bytes = try reader.next(&rest) {
                    let message = try BitswapMessage(bytes: bytes)
                    try await script(message) { answer in
                        if onInboundStream { return try await stream.write(answer.delimitedBytes) }
                        let own = try await host.openStream(
                            to: peer,
                            protocolIDs: [BitswapMessage.protocolID]
                        )
                        try await own.write(answer.delimitedBytes)
                        try await own.closeWrite()
                    }
                }
            }
        }
    }
}

extension BitswapMessage {
    static func blocks(_ blocks: [(CID, [UInt8])]) -> BitswapMessage {
        var message = BitswapMessage()
        message.blocks = blocks.map { Block($0.0, data: $0.1[...]) }
        return message
    }

    static func presences(_ cids: [CID], isHeld: Bool) -> BitswapMessage {
        var message = BitswapMessage()
        message.presences = cids.map { Presence($0, isHeld: isHeld) }
        return message
    }

    /// CIDs wanted in this message, by kind.
    func cids(_ kind: Want.Kind) -> [CID] { wants.filter { $0.kind == kind }.map(\.cid) }
}
