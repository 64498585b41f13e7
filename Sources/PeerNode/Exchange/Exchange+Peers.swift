import LibP2P
import Multiformats

/// Peers coming and going, and the streams to and from them.
extension Exchange {
    // MARK: Coming and going

    func followPeers() async {
        let events = await host.peerEvents()
        await reconcile()
        for await event in events {
            switch event {
            case .connected(let peer): link(to: peer, isConnected: true)
            case .identified(let peer, let protocols, _):
                link(to: peer, isConnected: true)
                if protocols.contains(BitswapMessage.protocolID) { offer(peer) }
            case .disconnected(let peer): drop(peer)
            }
        }
    }

    /// Looks up again and again what peers wait for: an add or another process may have stored it.
    func answerLaterBlocks() async {
        while !Task.isCancelled {
            // Cancelled: the loop ends.
            try? await Task.sleep(for: ExchangeLimits.lookupInterval)
            let wanted = server.wantedCIDs(limit: ExchangeLimits.lookupCount)
            guard !wanted.isEmpty else { continue }
            let found = await reader.byteCounts(of: wanted).compactMap { block in
                block.byteCount.map { (cid: block.cid, byteCount: $0) }
            }
            if !found.isEmpty { queueAnswers(server.stored(found)) }
        }
    }

    /// Looks again at who is connected, in case events were lost.
    func reconcilePeriodically() async {
        while !Task.isCancelled {
            // Cancelled: the loop ends.
            try? await Task.sleep(for: ExchangeLimits.reconcileInterval)
            await reconcile()
            await reset(partials.takeOlder(than: now - ExchangeLimits.messageTimeout))
        }
    }

    private func reconcile() async {
        let connected = await host.connectedPeers()
        let present = Set(connected.map(\.id))
        for (peer, link) in links where link.isConnected && !present.contains(peer) { drop(peer) }
        for peer in connected {
            link(to: peer.id, isConnected: true)
            if peer.protocols.contains(BitswapMessage.protocolID) { offer(peer.id) }
        }
    }

    private func link(to peer: PeerID, isConnected: Bool) {
        if links[peer] == nil {
            guard links.count < BitswapServer.maxPeerCount else { return }
            lastLinkNumber += 1
            links[peer] = Link(number: lastLinkNumber)
        }
        if isConnected { links[peer]?.isConnected = true }
    }

    /// Lets the client machine ask a peer.
    private func offer(_ peer: PeerID) {
        guard links[peer]?.isOffered == false else { return }
        links[peer]?.isOffered = true
        apply(client.connected(peer, now: now))
    }

    private func drop(_ peer: PeerID) {
        guard links.removeValue(forKey: peer) != nil else { return }
        server.disconnected(peer)
        apply(client.disconnected(peer, now: now))
    }

    /// Gives up asking a peer that takes no wants; it is offered again when it shows itself.
    private func abandon(_ peer: PeerID) {
        links[peer]?.wants = []
        links[peer]?.isOffered = false
        apply(client.disconnected(peer, now: now))
    }

    // MARK: Reading

    /// Serves one inbound stream.
    func serve(_ peer: PeerID, _ stream: any PeerStream) async throws {
        link(to: peer, isConnected: false)
        guard let link = links[peer], link.inboundStreamCount < ExchangeLimits.maxInboundStreamsPerPeer else {
            figures.refusedStreamCount += 1
            await stream.reset()
            return
        }
        links[peer]?.inboundStreamCount += 1
        defer { endInbound(peer, link: link.number) }
        offer(peer)
        try await readMessages(from: peer, on: stream)
    }

    private func endInbound(_ peer: PeerID, link number: Int) {
        guard let link = links[peer], link.number == number else { return }
        links[peer]?.inboundStreamCount -= 1
        if link.inboundStreamCount == 1, !link.isConnected { drop(peer) }
    }

    /// Takes messages off a stream to its end.
    func readMessages(from peer: PeerID, on stream: any PeerStream) async throws {
        var reader = DelimitedReader(maxByteCount: BitswapMessage.maxByteCount)
        let number = partials.open()
        defer { partials.close(number) }
        while let chunk = try await stream.read(atMost: ExchangeLimits.readByteCount) {
            var rest = chunk[...]
            do {
                while true {
                    await waitForTurn(of: peer)
                    guard let bytes = try reader.next(&rest) else { break }
                    await receive(try BitswapMessage(bytes: bytes), from: peer)
                }
            } catch {
                figures.badMessageCount += 1
                onEvent(.badMessage(peer, reason: "\(error)"))
                await stream.reset()
                throw error
            }
            partials.update(number, heldByteCount: reader.heldByteCount, of: peer, on: stream, now: now)
            await reset(partials.takeExcess(over: ExchangeLimits.maxPartialByteCount))
        }
    }

    private func reset(_ victims: [PartialMessages.Entry]) async {
        for victim in victims {
            figures.badMessageCount += 1
            onEvent(.hoarding(victim.peer))
            await victim.stream.reset()
        }
    }

    private func receive(_ message: BitswapMessage, from peer: PeerID) async {
        guard links[peer] != nil else { return }
        apply(client.receive(message, from: peer, now: now))
        guard message.isFull || !message.wants.isEmpty else { return }
        await beginLookup(for: peer)
        defer { endLookup(for: peer) }
        // It may have left meanwhile, and is to be forgotten then.
        guard links[peer] != nil else { return }
        for action in server.receive(message, from: peer, now: now) {
            if case .find(let cids) = action {
                let found = await reader.byteCounts(of: cids)
                queueAnswers(server.found(found))
            } else {
                queueAnswers([action])
            }
        }
    }

    /// Waits while a peer is ahead of the rate at which its wants are taken, so that the others get their turns.
    private func waitForTurn(of peer: PeerID) async {
        var isHeldBack = false
        while !Task.isCancelled {
            let time = now
            let turn = server.nextTurn(of: peer, now: time)
            guard turn > time else { return }
            if !isHeldBack { figures.heldBackMessageCount += 1 }
            isHeldBack = true
            // Cancelled: the loop ends.
            try? await Task.sleep(for: min(turn - time, ExchangeLimits.clockTick))
        }
    }

    /// Waits until no other lookup for this peer is under way: a peer with many streams has one turn at the store, too.
    private func beginLookup(for peer: PeerID) async {
        await withCheckedContinuation { continuation in
            // Looked at in here: the one before may end its lookup until the continuation is made.
            guard lookups[peer] != nil else {
                lookups[peer] = []
                return continuation.resume()
            }
            lookups[peer]?.append(continuation)
        }
    }

    private func endLookup(for peer: PeerID) {
        guard lookups[peer]?.isEmpty == false, let next = lookups[peer]?.removeFirst() else {
            lookups[peer] = nil
            return
        }
        next.resume()
    }

    // MARK: Wants

    /// Queues wants for the peer's wants stream.
    func queue(_ wants: [BitswapMessage.Want], for peer: PeerID) {
        guard let link = links[peer], link.isOffered else { return }
        guard link.wants.count + wants.count <= ExchangeLimits.maxQueuedWantsPerPeer else {
            abandon(peer)
            return
        }
        links[peer]?.wants += wants
        guard !link.isWritingWants else { return }
        links[peer]?.isWritingWants = true
        if !start(.writeWants(peer, link: link.number)) { links[peer]?.isWritingWants = false }
    }

    func writeWants(to peer: PeerID, link number: Int) async {
        while let wants = takeWants(of: peer, link: number) {
            var message = BitswapMessage()
            message.wants = wants
            do {
                try await write(message, to: peer, link: number, on: \.wantStream)
            } catch {
                guard links[peer]?.number == number else { return }
                links[peer]?.isWritingWants = false
                abandon(peer)
                return
            }
        }
    }

    private func takeWants(of peer: PeerID, link number: Int) -> [BitswapMessage.Want]? {
        guard let link = links[peer], link.number == number else { return nil }
        guard !link.wants.isEmpty else {
            links[peer]?.isWritingWants = false
            return nil
        }
        let count = min(link.wants.count, BitswapServer.maxWantsPerPeer)
        links[peer]?.wants.removeFirst(count)
        return Array(link.wants.prefix(count))
    }

    // MARK: Answers

    /// Queues loads and messages of the server machine for their peers.
    func queueAnswers(_ actions: [BitswapServer.Action]) {
        for action in actions {
            let peer: PeerID
            switch action {
            case .load(_, let asker): peer = asker
            case .send(_, let asker): peer = asker
            case .find: preconditionFailure("lookups are made where the wants came in")
            }
            guard let link = links[peer] else { continue }
            links[peer]?.answers.append(action)
            guard !link.isAnswering else { continue }
            links[peer]?.isAnswering = true
            if !start(.answer(peer, link: link.number)) { links[peer]?.isAnswering = false }
        }
    }

    func answer(_ peer: PeerID, link number: Int) async {
        while let action = takeAnswer(of: peer, link: number) {
            switch action {
            case .find: break
            case .load(let cids, _):
                let blocks = await reader.load(cids)
                // What a connection asked for that has gone meanwhile is none of the next one's.
                guard links[peer]?.number == number else { return }
                queueAnswers(server.loaded(blocks, for: peer))
            case .send(let message, _):
                do {
                    try await write(message, to: peer, link: number, on: \.answerStream)
                } catch {
                    stopAnswering(peer, link: number)
                    return
                }
                figures.sentBlockCount += UInt64(message.blocks.count)
                figures.sentByteCount += message.blocks.reduce(0) { $0 + UInt64($1.data.count) }
                guard links[peer]?.number == number else { return }
                queueAnswers(server.sent(to: peer))
            }
        }
    }

    private func takeAnswer(of peer: PeerID, link number: Int) -> BitswapServer.Action? {
        guard let link = links[peer], link.number == number else { return nil }
        guard let action = link.answers.first else {
            links[peer]?.isAnswering = false
            return nil
        }
        links[peer]?.answers.removeFirst()
        return action
    }

    /// The peer takes no answers: its wants are forgotten, and it may ask again.
    private func stopAnswering(_ peer: PeerID, link number: Int) {
        guard links[peer]?.number == number else { return }
        links[peer]?.answers = []
        links[peer]?.isAnswering = false
        server.forgetWants(of: peer)
    }

    // MARK: Writing

    /// Writes one message on the stream kept for its kind, opening it when there is none.
    ///
    /// A kept stream may have died since the last message; then one new one is tried.
    private func write(
        _ message: BitswapMessage,
        to peer: PeerID,
        link number: Int,
        on kind: any WritableKeyPath<Link, (any PeerStream)?> & Sendable
    ) async throws {
        if let kept = links[peer]?[keyPath: kind] {
            do {
                return try await Self.write(message, on: kept)
            } catch {
                await kept.reset()
                if links[peer]?.number == number { links[peer]?[keyPath: kind] = nil }
            }
        }
        let stream = try await withTimeout(ExchangeLimits.openTimeout) { [host] in
            try await host.openStream(to: peer, protocolIDs: [BitswapMessage.protocolID])
        }
        guard links[peer]?.number == number else {
            await stream.reset()
            throw ExchangeError.stopped
        }
        links[peer]?[keyPath: kind] = stream
        if kind == \Link.wantStream { start(.readReplies(peer, stream)) }
        do {
            try await Self.write(message, on: stream)
        } catch {
            await stream.reset()
            if links[peer]?.number == number { links[peer]?[keyPath: kind] = nil }
            throw error
        }
    }

    private nonisolated static func write(_ message: BitswapMessage, on stream: any PeerStream) async throws {
        try await withTimeout(ExchangeLimits.writeTimeout) {
            await stream.reset()
        } _: {
            for piece in message.pieces { try await stream.write(Array(piece)) }
        }
    }
}
