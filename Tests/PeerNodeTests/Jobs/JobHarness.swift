import BlockStore
import Engines
import Glibc
import MRProtocol
import Multiformats
import Testing

@testable import PeerNode

/// A home folder with a store, removed with the harness.
final class JobHarness: Sendable {
    let home: String
    let store: SQLiteBlockStore

    init() throws {
        var template = Array("/tmp/peernode-jobs-XXXXXX".utf8CString)
        home = String(cString: try #require(mkdtemp(&template)))
        store = try SQLiteBlockStore(path: home + "/blocks.db")
    }

    deinit {
        store.close()
        _ = system("rm -rf '\(home)'")
    }

    func configuration(
        slots: Int = 2,
        memory: Int = 64 << 20,
        persists: Bool = true,
        resumes: Bool = false
    ) -> JobConfiguration {
        JobConfiguration(
            databasePath: persists ? home + "/jobs.db" : nil,
            slots: slots,
            memoryByteCount: memory,
            resumesJobs: resumes
        )
    }

    func add(_ bytes: [UInt8], name: String = "input") throws -> CID {
        let ingest = try store.makeIngest()
        let builder = FileBuilder(ingest: ingest)
        try builder.write(bytes)
        let root = try builder.finish().cid
        try ingest.pin(name, root, closing: true)
        return root
    }

    func wordCount(_ root: CID, reduces: Int = 4, name: String = "input") -> JobSpec {
        JobSpec(
            map: .builtIn("wc"),
            combine: .builtIn("sum"),
            reduce: .builtIn("sum"),
            reduceCount: reduces,
            recordFormat: .words,
            inputs: [JobInput(name: name, root: root)]
        )
    }

    /// Runs one job from submission to its final status with a service of its own.
    func run(
        _ spec: JobSpec,
        _ configuration: JobConfiguration? = nil,
        remembers: Bool = true,
        engines: any JobEngines = StandardEngines()
    ) async throws -> JobStatus {
        let service = JobService(
            store: store,
            configuration: configuration ?? self.configuration(),
            engines: engines
        )
        return try await withRunning(service) { service in
            let id = try await service.submit(JobSubmission(spec: spec, usesRememberedOutputs: remembers))
            return try await service.end(of: id)
        }
    }

    func withRunning<T: Sendable>(
        _ service: JobService,
        _ body: @Sendable @escaping (JobService) async throws -> T
    ) async throws -> T {
        async let done: Void = service.run()
        do {
            let value = try await body(service)
            await service.stop()
            await done
            return value
        } catch {
            await service.stop()
            await done
            throw error
        }
    }

    /// Lines of all parts of a result, sorted by bytes.
    func lines(of result: CID) throws -> [String] {
        guard case .directory(let entries) = try UnixFSNode.read(result, in: store) else {
            return ["not a directory"]
        }
        var bytes: [UInt8] = []
        for entry in entries {
            let reader = try FileReader(entry.cid, in: store)
            try reader.forEachPiece { bytes += Array($0) }
        }
        return bytes.split(separator: 10).map { String(decoding: $0, as: UTF8.self) }.sorted {
            $0.utf8.lexicographicallyPrecedes($1.utf8)
        }
    }

    /// What a shell pipeline says of `bytes`.
    func shell(_ pipeline: String, _ bytes: [UInt8]) throws -> [String] {
        let path = home + "/shell-input"
        let file = try #require(fopen(path, "w"))
        _ = bytes.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, file) }
        fclose(file)
        let pipe = try #require(popen("export LC_ALL=C; cat '\(path)' | \(pipeline)", "r"))
        defer { pclose(pipe) }
        var output: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&buffer, 1, buffer.count, pipe)
            if count == 0 { break }
            output += buffer[..<count]
        }
        return output.split(separator: 10).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// Text of words with a skewed distribution, in lines of different lengths.
func randomText(byteCount: Int, seed: UInt64) -> [UInt8] {
    var random = SplitMix(state: seed)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(byteCount + 16)
    while bytes.count < byteCount {
        let rank = random.next() % (1 + random.next() % 3_000)
        bytes += Array("w\(rank)".utf8)
        bytes.append([32, 32, 9, 10, 32, 32, 32, 32][Int(random.next() % 8)])
    }
    return Array(bytes[..<byteCount])
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}

extension JobService {
    /// Runs for one job, of which nothing is remembered, and stops.
    nonisolated func runAlone(_ spec: JobSpec) async throws -> JobStatus {
        async let done: Void = run()
        let id = try await submit(JobSubmission(spec: spec, usesRememberedOutputs: false))
        let status = try await end(of: id)
        await stop()
        await done
        return status
    }
}
