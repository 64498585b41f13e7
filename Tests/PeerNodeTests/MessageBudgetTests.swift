import BlockStore
import MRProtocol
import Multiformats
import PeerNode
import Testing

/// Memory that requests of `/mapreduce/1` take before they are whole.
@Suite("Memory of messages that are not whole", .timeLimit(.minutes(1)))
struct MessageBudgetTests {
    private static let longByteCount = 200 << 10
    /// What a long message takes from the budget at most.
    private static let charge = longByteCount - CallLimits.smallRequestByteCount

    /// Says that a message of `longByteCount` bytes comes, sends all but its last byte, and ends.
    private static func half(budget: MessageBudget) async throws -> MessageStream {
        let (here, there) = MemoryStream.pair()
        let message = [UInt8](repeating: 7, count: longByteCount).delimited
        try await there.write(message.dropLast())
        try await there.closeWrite()
        return MessageStream(here, maxByteCount: 1 << 20, budget: budget)
    }

    @Test("half a message holds its part of the budget for as long as its stream lives, and gives it back")
    func held() async throws {
        let budget = MessageBudget(byteCount: Self.charge)
        var first: MessageStream? = try await Self.half(budget: budget)
        await #expect(throws: MessageStreamFault.truncated) { try await first?.next() }
        let second = try await Self.half(budget: budget)
        await #expect(throws: MessageStreamFault.noRoom) { try await second.next() }
        first = nil
        let third = try await Self.half(budget: budget)
        await #expect(throws: MessageStreamFault.truncated) { try await third.next() }
    }

    @Test("a whole message gives its part back, so that any number of them pass one after the other")
    func released() async throws {
        let budget = MessageBudget(byteCount: Self.charge)
        let (here, there) = MemoryStream.pair()
        let stream = MessageStream(here, maxByteCount: 1 << 20, budget: budget)
        let message = [UInt8](repeating: 7, count: Self.longByteCount)
        for _ in 0..<5 {
            async let sent: Void = there.write(message.delimited)
            #expect(try await stream.next() == message)
            try await sent
        }
    }

    @Test("short messages pass when nothing is left")
    func short() async throws {
        let budget = MessageBudget(byteCount: 0)
        let (here, there) = MemoryStream.pair()
        let stream = MessageStream(here, maxByteCount: 1 << 20, budget: budget)
        let message = [UInt8](repeating: 7, count: CallLimits.smallRequestByteCount)
        try await there.write(message.delimited)
        #expect(try await stream.next() == message)
    }

    @Test("a long request without room is answered busy and counted; short ones are served")
    func service() async throws {
        let network = MemoryNetwork()
        let there = await network.makeHost(1)
        let here = await network.makeHost(2)
        let service = MapReduceService(
            host: there,
            store: MemoryBlockStore(),
            worker: StubWorker(),
            budget: MessageBudget(byteCount: 0)
        )
        await service.start()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await there.run() }
            group.addTask { await here.run() }
            defer { group.cancelAll() }
            let peer = MapReducePeer(there.localPeer, host: here)
            let cids = (0..<6_000).map { CID.of(withUnsafeBytes(of: $0) { Array($0) }, codec: .raw) }
            let error = await #expect(throws: CallError.self) { try await peer.have(cids) }
            #expect(error?.code == .busy)
            #expect(await service.figures.busy == 1)
            let flags = try await peer.have(Array(cids.prefix(10)))
            #expect(flags.count == 10)
        }
    }
}
