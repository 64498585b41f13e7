import BlockStore
import Engines
import FunctionProtocol
import Glibc
package import MRProtocol
package import Multiformats

/// Runs jobs in memory, for trying functions on a few records: nothing is stored, no other node is asked.
///
/// The same planning, engines, limits and sandbox as in a node, so that what works here works there.
package final class FunctionTrial: Sendable {
    private let store = MemoryBlockStore()
    private let service: JobService
    /// Removed in the end, and by the next trial when this process is killed.
    private let room: WorkRoom

    /// What a job in a trial came to.
    package struct Outcome: Sendable {
        /// How it ended.
        package var status: JobStatus
        /// The result's pairs in key order; none when it failed.
        package var pairs: [(key: [UInt8], value: [UInt8]?)]
        /// What the functions logged, a line each, by phase.
        package var log: [(phase: JobPhase, line: String)]
    }

    /// How log lines name this process.
    private static let workerName = "here"
    /// What the names of trials' folders begin with.
    private static let folderPrefix = "peerctl-local-"

    /// A trial; commands get folders under the system's folder for temporary files.
    ///
    /// - Throws: `NodeError` with code `file` when no such folder can be made.
    package init() throws(NodeError) {
        let parent = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        do throws(TaskFault) {
            room = try WorkRoom(under: parent, prefix: FunctionTrial.folderPrefix)
        } catch {
            throw NodeError(.file, "cannot make a folder in \(parent): \(error)")
        }
        var configuration = JobConfiguration(
            databasePath: nil,
            slots: 1,
            workerName: FunctionTrial.workerName,
            workFolderPath: room.path
        )
        // One machine, and nothing here that gets better with time.
        configuration.maxAttempts = 1
        service = JobService(store: store, configuration: configuration)
    }

    /// Removes the folder of commands.
    package func close() { FolderContents.removeFolder(room.path) }

    /// Takes a file, a function's or an input, into memory.
    package func add(_ bytes: [UInt8]) throws -> CID {
        let ingest = store.makeIngest()
        let builder = FileBuilder(ingest: ingest)
        try builder.write(bytes)
        let root = try builder.finish().cid
        try ingest.pin("\(root)", root, closing: true)
        return root
    }

    /// Loads a function and says what it can do.
    ///
    /// - Throws: `NodeError`, as `NodeService.checkFunction`.
    package func describe(
        _ source: FunctionSource,
        name: String,
        limits: TaskLimits
    ) async throws(NodeError) -> FunctionDescription {
        try await service.library.describe(source, name: name, limits: limits)
    }

    /// Runs `body`, whose jobs are executed meanwhile.
    package func running(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [service] in await service.run() }
            do { try await body() } catch {
                await service.stop()
                throw error
            }
            await service.stop()
            try await group.waitForAll()
        }
    }

    /// Runs one job with one part, to its end.
    ///
    /// - Throws: `JobServiceError` when it is not accepted.
    package func run(_ submission: JobSubmission) async throws -> Outcome {
        var submission = submission
        submission.spec.reduceCount = 1
        submission.spec.outputFormat = .kv
        submission.usesRememberedOutputs = false
        let id = try await service.submit(submission)
        let status = try await service.end(of: id)
        let log = try await service.log(of: id).compactMap { FunctionTrial.functionLine($0.message) }
        return Outcome(status: status, pairs: try status.result.map(pairs) ?? [], log: log)
    }

    /// The line of a function in a line of the job's log such as `map 0 on here: …`; `nil` for others.
    private static func functionLine(_ message: String) -> (phase: JobPhase, line: String)? {
        let phase = [JobPhase.map, .merge, .reduce].first { message.hasPrefix("\($0.rawValue) ") }
        guard let phase, let place = message.firstRange(of: " on \(workerName): ") else { return nil }
        return (phase, String(message[place.upperBound...]))
    }

    private func pairs(_ result: CID) throws -> [(key: [UInt8], value: [UInt8]?)] {
        guard case .directory(let entries) = try UnixFSNode.read(result, in: store), let part = entries.first
        else {
            throw NodeError(.internal, "the result \(result) is no directory")
        }
        var bytes: [UInt8] = []
        try FileReader(part.cid, in: store).forEachPiece { bytes += $0 }
        return bytes.split(separator: 0x0a).map { line in
            let tab = line.firstIndex(of: 0x09)
            return (
                key: FunctionTrial.unescaped(line[..<(tab ?? line.endIndex)]),
                value: tab.map { FunctionTrial.unescaped(line[($0 + 1)...]) }
            )
        }
    }

    /// What the `kv` form of a key or value stands for: `\\\\`, `\\t` and `\\n` are escapes.
    private static func unescaped(_ text: ArraySlice<UInt8>) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "\\"), let escaped = rest.popFirst() else {
                bytes.append(byte)
                continue
            }
            switch escaped {
            case UInt8(ascii: "t"): bytes.append(0x09)
            case UInt8(ascii: "n"): bytes.append(0x0a)
            default: bytes.append(escaped)
            }
        }
        return bytes
    }
}
