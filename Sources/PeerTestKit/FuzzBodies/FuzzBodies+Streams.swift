import LibP2P
import Multiformats
import PeerCrypto

/// Bodies for the machines that take a peer's bytes in any pieces: the first byte of an input says how long they are.
extension FuzzBodies {
    /// Both ends of multistream-select.
    @Sendable public static func multistream(_ input: UnsafeRawBufferPointer) {
        var listener: MultistreamListener? = MultistreamListener(protocols: ["/a/1", "/b/1"])
        var dialer: MultistreamDialer? = MultistreamDialer(proposals: ["/a/1", "/b/1"])
        var heldBack: [UInt8] = []
        var asked: [UInt8] = []
        forEachPiece(input) { piece in
            heldBack += piece
            asked += piece
            listener = step(listener, &heldBack) { machine, rest throws(MultistreamFault) in
                if case .wait = try machine.receive(&rest) { true } else { false }
            }
            dialer = step(dialer, &asked) { machine, rest throws(MultistreamFault) in
                if case .wait = try machine.receive(&rest) { true } else { false }
            }
            return listener != nil || dialer != nil
        }
    }

    /// Gives a machine what has come, and keeps what it left; `nil` when it agreed or failed.
    private static func step<Machine>(
        _ machine: Machine?,
        _ bytes: inout [UInt8],
        _ receive: (inout Machine, inout ArraySlice<UInt8>) throws(MultistreamFault) -> Bool
    ) -> Machine? {
        guard var machine else { return nil }
        var rest = bytes[...]
        do throws(MultistreamFault) {
            guard try receive(&machine, &rest) else { return nil }
        } catch {
            return nil
        }
        bytes = Array(rest)
        guard bytes.count <= MultistreamMessage.maxByteCount + 2 else {
            fatalError("multistream keeps \(bytes.count) bytes waiting")
        }
        return machine
    }

    /// The payload of a Noise handshake message.
    @Sendable public static func noisePayload(_ input: UnsafeRawBufferPointer) {
        guard let payload = try? NoisePayload(bytes: Array(input)) else { return }
        guard (try? NoisePayload(bytes: payload.bytes)) == payload else {
            fatalError("noise payload does not come out as it went in")
        }
    }

    /// A peer that says anything to either end of a Noise handshake.
    @Sendable public static func noiseHandshake(_ input: UnsafeRawBufferPointer) {
        for role in [NoiseRole.initiator, .responder] {
            var handshake = NoiseHandshake(
                role: role,
                identity: identity,
                muxers: ["/yamux/1.0.0"],
                expectedPeer: nil
            )
            guard (try? handshake.start()) != nil else { continue }
            forEachPiece(input) { piece in
                var rest = piece
                return (try? handshake.receive(&rest)) != nil && !handshake.isComplete
            }
            guard !handshake.isComplete else { fatalError("a handshake without a key succeeded") }
        }
    }

    private static let identity = Ed25519.KeyPair()

    /// A peer that sends any frames to either end of a session in which streams are opened, written, read and reset.
    @Sendable public static func yamux(_ input: UnsafeRawBufferPointer) {
        for role in [YamuxSession.Role.dialer, .listener] {
            var fuzzed = FuzzedSession(role: role)
            forEachPiece(input) { piece in fuzzed.take(piece) }
        }
    }

    /// Calls `body` with pieces of the input until it returns `false`.
    private static func forEachPiece(_ input: UnsafeRawBufferPointer, _ body: (ArraySlice<UInt8>) -> Bool) {
        guard let size = input.first.map({ Int($0) + 1 }) else { return }
        let bytes = Array(input.dropFirst())
        for start in stride(from: 0, to: bytes.count, by: size) {
            guard body(bytes[start..<min(start + size, bytes.count)]) else { return }
        }
    }
}

/// A session, an application that does all it can do with its streams, and a clock that goes on.
private struct FuzzedSession: ~Copyable {
    private var session: YamuxSession
    private var now = Duration.zero
    private var unread = 0
    private var own: [YamuxStreamID] = []

    init(role: YamuxSession.Role) {
        session = YamuxSession(role: role, now: now)
        for _ in 0..<3 {
            guard let stream = try? session.open(now: now) else { continue }
            session.write([1, 2, 3], on: stream)
            own.append(stream)
        }
    }

    /// Hands bytes to the session and reacts; `false` once it has ended.
    mutating func take(_ bytes: ArraySlice<UInt8>) -> Bool {
        now += .milliseconds(bytes.count)
        var isOpen = true
        for action in session.receive(bytes, now: now) {
            switch action {
            case .accept(let stream):
                session.write([4, 5], on: stream)
                if session.streamCount % 3 == 0 { session.closeWrite(stream) }
            case .deliver(let stream, let bytes):
                unread += bytes.count
                // Half of what comes is read at once, the rest never: the peer has to stay within the windows.
                if bytes.count % 2 == 0 {
                    session.consumed(bytes.count, on: stream, now: now)
                    unread -= bytes.count
                }
            case .endOfStream(let stream): if session.contains(stream) { session.closeWrite(stream) }
            case .terminate: isOpen = false
            case .acknowledged, .resetStream, .refused, .roundTrip, .remoteGoesAway: break
            }
        }
        if let deadline = session.nextDeadline, deadline <= now { _ = session.deadlineReached(now: now) }
        while session.nextFrame(maxByteCount: 65_519) != nil {}
        let limits = YamuxLimits()
        guard session.streamCount <= limits.maxInboundStreamCount + limits.maxOutboundStreamCount else {
            fatalError("\(session.streamCount) streams are open")
        }
        return isOpen
    }
}
