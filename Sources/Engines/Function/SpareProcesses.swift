package import FunctionProtocol
import Synchronization

/// Processes that were started before the functions are known that they will get: nothing of any is in them yet.
///
/// A process takes longer to start than most of what comes before its function: adding the file, opening the inputs.
package final class SpareProcesses: Sendable {
    /// Processes that are kept, for a map, a combine and a reduce or a map in several slots; beyond it none is started ahead.
    package static let maxCount = 3

    private struct Spare {
        let engine: EngineKind
        let memoryByteLimit: UInt64
        let process: FunctionProcess
        let since: ContinuousClock.Instant
    }

    /// Handed over whole, never shared.
    private struct Spares: @unchecked Sendable {
        var all: [Spare] = []
    }

    private let spares = Mutex(Spares())

    /// None yet.
    package init() {}

    /// Processes that are kept.
    package var count: Int { spares.withLock(\.all.count) }

    /// Starts a process for a function that is about to come.
    ///
    /// A system that refuses it is asked again when the function is there.
    package func start(_ engine: EngineKind, memoryByteLimit: UInt64) {
        guard count < SpareProcesses.maxCount,
            let process = try? FunctionProcess(engine, memoryByteLimit: memoryByteLimit)
        else { return }
        let spare = Spares(
            all: [Spare(engine: engine, memoryByteLimit: memoryByteLimit, process: process, since: .now)]
        )
        spares.withLock { $0.all += spare.all }
    }

    /// A process for such a function, which is the caller's from now on.
    func take(_ engine: EngineKind, memoryByteLimit: UInt64) -> FunctionProcess? {
        spares.withLock { spares in
            let index = spares.all.firstIndex { $0.engine == engine && $0.memoryByteLimit == memoryByteLimit }
            return Spares(all: index.map { [spares.all.remove(at: $0)] } ?? [])
        }.all.first?.process
    }

    /// Ends those that were started at `instant` or before.
    func end(startedBy instant: ContinuousClock.Instant) {
        let ended = spares.withLock { spares in
            let ended = Spares(all: spares.all.filter { $0.since <= instant })
            spares.all.removeAll { $0.since <= instant }
            return ended
        }
        for spare in ended.all { spare.process.close() }
    }
}
