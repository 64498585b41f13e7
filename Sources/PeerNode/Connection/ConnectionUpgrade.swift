import LibP2P
import Multiformats
import PeerCrypto

/// Turns a socket into a secured, multiplexed connection: (pnet) → multistream → Noise → muxer.
@NetworkActor
struct ConnectionUpgrade {
    /// What a finished upgrade gives.
    struct Outcome {
        let channel: SecuredChannel
        let remote: NoiseHandshake.Remote
        /// Plaintext behind the negotiation: the session's first bytes.
        let leftover: ArraySlice<UInt8>
    }

    let identity: Ed25519.KeyPair
    let swarmKey: SwarmKey?
    var timeout = ConnectionLimits.upgradeTimeout

    /// Upgrades the dialer's end.
    func dial(_ socket: Socket, expecting peer: PeerID?) async throws(ConnectionFault) -> Outcome {
        try await upgrade(socket, role: .initiator, expecting: peer)
    }

    /// Upgrades the listener's end.
    func accept(_ socket: Socket) async throws(ConnectionFault) -> Outcome {
        try await upgrade(socket, role: .responder, expecting: nil)
    }

    private func upgrade(
        _ socket: Socket,
        role: NoiseRole,
        expecting peer: PeerID?
    ) async throws(ConnectionFault) -> Outcome {
        let raw = RawChannel(socket: socket, swarmKey: swarmKey)
        var didTimeOut = false
        let timer = NetworkActor.schedule(after: timeout) {
            didTimeOut = true
            socket.close()
        }
        defer { NetworkActor.cancel(timer) }
        var isUnderstood = false
        do throws(ConnectionFault) {
            var input = Input(read: raw.read, write: raw.write)
            try await input.negotiate(NoiseHandshake.protocolID, role)
            isUnderstood = true
            return try await secure(raw, input.bytes, role: role, expecting: peer)
        } catch {
            let fault = didTimeOut ? .timedOut : socket.isClosed ? .closedHere : error
            socket.close()
            // A stranger that said nothing at all tells nothing about its key; one that was dialed should have spoken.
            throw isUnderstood || (role == .responder && !raw.hasReceived) ? fault : .notUnderstood(fault)
        }
    }

    private func secure(
        _ raw: RawChannel,
        _ received: ArraySlice<UInt8>,
        role: NoiseRole,
        expecting peer: PeerID?
    ) async throws(ConnectionFault) -> Outcome {
        var handshake = NoiseHandshake(
            role: role,
            identity: identity,
            muxers: [YamuxSession.protocolID],
            expectedPeer: peer
        )
        var bytes = received
        do {
            try await raw.write(try handshake.start())
            while true {
                try await raw.write(try handshake.receive(&bytes))
                if handshake.isComplete { break }
                bytes = try await raw.read()[...]
            }
        } catch let fault as NoiseFault {
            throw .noise(fault)
        } catch let fault as ConnectionFault {
            throw fault
        } catch {
            preconditionFailure("a handshake throws its own faults: \(error)")
        }
        guard let remote = handshake.remote else {
            preconditionFailure("a complete handshake knows its peer")
        }
        let channel = SecuredChannel(raw: raw, transport: handshake.finish(), leftover: bytes)
        guard remote.muxer == nil else { return Outcome(channel: channel, remote: remote, leftover: []) }
        var input = Input(read: channel.read, write: channel.write)
        try await input.negotiate(YamuxSession.protocolID, role)
        return Outcome(channel: channel, remote: remote, leftover: input.bytes)
    }

    /// A channel being negotiated on, with the bytes read ahead.
    @NetworkActor
    private struct Input {
        let read: @NetworkActor () async throws(ConnectionFault) -> [UInt8]
        let write: @NetworkActor ([UInt8]) async throws(ConnectionFault) -> Void
        var bytes: ArraySlice<UInt8> = []

        mutating func negotiate(_ name: String, _ role: NoiseRole) async throws(ConnectionFault) {
            switch role {
            case .initiator: try await dial(name)
            case .responder: try await listen(name)
            }
        }

        private mutating func dial(_ name: String) async throws(ConnectionFault) {
            var dialer = MultistreamDialer(proposals: [name])
            try await write(dialer.start())
            while true {
                switch try Self.step({ bytes throws(MultistreamFault) in try dialer.receive(&bytes) }, &bytes)
                {
                case .agreed: return
                case .wait(let answer): try await write(answer)
                }
                bytes = try await read()[...]
            }
        }

        private mutating func listen(_ name: String) async throws(ConnectionFault) {
            var listener = MultistreamListener(protocols: [name])
            try await write(listener.start())
            while true {
                switch try Self.step(
                    { bytes throws(MultistreamFault) in try listener.receive(&bytes) },
                    &bytes
                ) {
                case .agreed(_, let answer): return try await write(answer)
                case .wait(let answer): try await write(answer)
                }
                bytes = try await read()[...]
            }
        }

        private static func step<Step>(
            _ receive: (inout ArraySlice<UInt8>) throws(MultistreamFault) -> Step,
            _ bytes: inout ArraySlice<UInt8>
        ) throws(ConnectionFault) -> Step {
            do throws(MultistreamFault) { return try receive(&bytes) } catch { throw .multistream(error) }
        }
    }
}
