import Testing

@testable import PeerNode

@Suite("Time limits")
struct TimeoutTests {
    private struct Freed: Error {}

    @Test("What is freed when its time is over has taken too long, whatever it throws for being freed")
    func freedLate() async {
        let (freed, free) = AsyncStream.makeStream(of: Void.self)
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        let limit = Duration.milliseconds(1)
        await #expect(throws: TimeoutError(limit: limit)) {
            try await withTimeout(
                limit,
                late: {
                    free.finish()
                    for await _ in ended {}
                }
            ) {
                defer { end.finish() }
                for await _ in freed {}
                throw Freed()
            }
        }
    }

    @Test("What fails in time fails for its own reason")
    func ownFailure() async {
        await #expect(throws: Freed.self) { try await withTimeout(.seconds(60)) { throw Freed() } }
    }
}
