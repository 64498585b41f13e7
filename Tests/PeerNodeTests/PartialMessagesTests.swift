import Multiformats
import Testing

@testable import PeerNode

struct PartialMessagesTests {
    /// A stream on which nothing happens.
    private struct Silence: PeerStream {
        let peer: PeerID
        let protocolID = ""
        func read(atMost maxByteCount: Int) async throws -> [UInt8]? { nil }
        func write(_ bytes: [UInt8]) async throws {}
        func closeWrite() async throws {}
        func reset() async {}
    }

    private let modest = PeerID.numbered(1)
    private let greedy = PeerID.numbered(2)

    private func hold(
        _ byteCount: Int,
        of peer: PeerID,
        on number: Int,
        at now: Duration = .zero,
        in partials: inout PartialMessages
    ) {
        partials.update(number, heldByteCount: byteCount, of: peer, on: Silence(peer: peer), now: now)
    }

    @Test func overTheBudgetThePeerWithTheMostLosesItsLongestMessages() {
        var partials = PartialMessages()
        let numbers = (0..<4).map { _ in partials.open() }
        hold(50, of: modest, on: numbers[0], in: &partials)
        hold(20, of: greedy, on: numbers[1], in: &partials)
        hold(30, of: greedy, on: numbers[2], in: &partials)
        hold(10, of: greedy, on: numbers[3], in: &partials)
        #expect(partials.takeExcess(over: 110).isEmpty)
        let taken = partials.takeExcess(over: 109)
        #expect(taken.map(\.peer) == [greedy])
        #expect(partials.byteCount == 80)
    }

    @Test func wholeMessagesAndClosedStreamsCountNothing() {
        var partials = PartialMessages()
        let (first, second) = (partials.open(), partials.open())
        hold(50, of: modest, on: first, in: &partials)
        hold(60, of: modest, on: second, in: &partials)
        hold(0, of: modest, on: first, in: &partials)
        #expect(partials.byteCount == 60)
        partials.close(second)
        partials.close(second)
        #expect(partials.byteCount == 0)
    }

    @Test func aMessageThatGrowsForTooLongIsTakenAndAFreshOneIsNot() {
        var partials = PartialMessages()
        let (slow, fresh) = (partials.open(), partials.open())
        for second in 1...100 {
            hold(second, of: greedy, on: slow, at: .seconds(second), in: &partials)
            hold(101 - second, of: modest, on: fresh, at: .seconds(second), in: &partials)
        }
        #expect(partials.takeOlder(than: .seconds(50)).map(\.peer) == [greedy])
        #expect(partials.byteCount == 1)
    }
}
