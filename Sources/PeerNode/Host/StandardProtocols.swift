import LibP2P
package import Multiformats
import PeerCrypto

extension Host {
    /// Streams of one peer that ask identify at once; go's limit.
    static let maxIdentifyStreamCount = 16

    /// Ping streams of one connection; more than the two that WIRE asks for, since a closed one ends a little later here.
    static let maxPingStreamCount = 32

    /// Registers identify, identify push, ping, and the diagnostics if they are wanted.
    func serveStandardProtocols() {
        protocols.serve(IdentifyMessage.protocolID, maxStreamCount: Self.maxIdentifyStreamCount) {
            peer,
            stream in
            try await stream.write(self.identifyAnswer(to: peer))
        }
        protocols.serve(IdentifyMessage.pushProtocolID, maxStreamCount: Self.maxIdentifyStreamCount) {
            peer,
            stream in
            self.learnPush(try await Self.readIdentify(stream), from: peer)
        }
        protocols.serve(
            PingAsker.protocolID,
            maxStreamCount: Self.maxPingStreamCount,
            respondingBy: PingResponder.init
        )
        if configuration.servesDiagnostics { serveDiagnostics() }
    }

    // MARK: Identify

    /// Asks a peer who it is, right after its connection is up.
    func identify(_ connection: Connection) async {
        do {
            let stream = try await connection.openStream([IdentifyMessage.protocolID])
            stream.closeWrite()
            let message = try await Self.readIdentify(stream)
            // Only counted, as go does: whatever is believed of the peer comes from the handshake.
            if let key = message.publicKey, PeerID.of(key) != connection.peer {
                counters.count(.identifyFailed, "key of another peer")
            }
            learn(message, on: connection)
        } catch {
            counters.count(.identifyFailed, connection.fault == nil ? "no valid answer" : "connection ended")
        }
    }

    private static func readIdentify(_ stream: MuxedStream) async throws -> IdentifyMessage {
        let timer = NetworkActor.schedule(after: IdentifyReader.timeout) { stream.fail(.timedOut) }
        defer { NetworkActor.cancel(timer) }
        var reader = IdentifyReader()
        do {
            while let bytes = try await stream.readSlice() { try reader.receive(bytes) }
            return try reader.finish()
        } catch {
            stream.reset()
            throw error
        }
    }

    /// The answer, all in one write: go's connect call waits for it.
    private func identifyAnswer(to peer: PeerID) -> [UInt8] {
        var message = IdentifyMessage()
        message.publicKey = publicKey.bytes
        message.listenAddresses = listenAddresses
        message.protocols = protocols.names.sorted()
        message.observedAddress = observedAddress(of: peer)
        message.protocolVersion = "ipfs/0.1.0"
        message.agentVersion = configuration.agent
        message.signedPeerRecord = signedPeerRecord().envelope.bytes
        return message.messages.flatMap { Varint.encode(UInt64($0.count)) + $0 }
    }

    /// This node's addresses, signed now.
    package func signedPeerRecord() -> SignedPeerRecord {
        let record = PeerRecord(
            peer: localPeer,
            sequence: UnixTime.nanoseconds,
            addresses: Array(listenAddresses.prefix(PeerRecord.maxAddressCount))
        )
        return SignedPeerRecord(record, publicKey: publicKey) { self.configuration.identity.sign($0) }
    }

    // MARK: Ping

    /// Pings a peer once over a stream of its own.
    ///
    /// - Returns: the round trip.
    /// - Throws: `HostError`, also when the peer does not answer within 10 s.
    package func ping(_ peer: PeerID) async throws(HostError) -> Duration {
        let stream = try await openMuxedStream(to: peer, protocolIDs: [PingAsker.protocolID])
        let timer = NetworkActor.schedule(after: PingAsker.timeout) { stream.fail(.timedOut) }
        defer {
            NetworkActor.cancel(timer)
            stream.finish()
        }
        let origin = ContinuousClock.now
        var asker = PingAsker()
        do {
            var actions = asker.ping(payload: RandomBytes.make(PingAsker.byteCount), now: .zero)
            while true {
                for action in actions {
                    switch action {
                    case .send(let payload): try await stream.write(payload)
                    case .measured(let roundTrip): return roundTrip
                    case .fail(let fault):
                        throw HostError(.interrupted, "the ping of \(peer) failed: \(fault)")
                    }
                }
                if let bytes = try await stream.readSlice() {
                    actions = asker.receive(bytes, now: ContinuousClock.now - origin)
                } else {
                    actions = asker.end()
                }
            }
        } catch let error as HostError {
            throw error
        } catch let fault as StreamFault {
            throw HostError(fault, to: peer, protocols: [PingAsker.protocolID])
        } catch {
            throw HostError(.interrupted, "the ping of \(peer) failed: \(error)")
        }
    }
}

extension PeerID {
    /// The peer of an encoded key; `nil` when the bytes are none.
    fileprivate static func of(_ encodedKey: [UInt8]) -> PeerID? {
        // A malformed key is counted by the caller; why it is malformed is of no use.
        (try? PublicKey(bytes: encodedKey)).map { PeerID($0) }
    }
}
