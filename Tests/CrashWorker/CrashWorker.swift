import BlockStore
import Glibc
import Multiformats

/// Adds, unpins and collects until it is killed, and says on standard output what it holds for acknowledged.
///
/// Lines: `pinned NAME CID` after a durable pin, `unpinning NAME` before a pin goes.
@main
enum CrashWorker {
    static func main() throws {
        guard CommandLine.arguments.count == 3, var seed = UInt64(CommandLine.arguments[2]) else {
            say("usage: CrashWorker STORE SEED")
            exit(2)
        }
        let store = try SQLiteBlockStore(path: CommandLine.arguments[1])
        let prefix = seed
        for round in 0... {
            let name = "file-\(prefix)-\(round)"
            let ingest = try store.makeIngest()
            let root = try addFile(ingest, seed: &seed)
            try ingest.pin(name, root, closing: true)
            say("pinned \(name) \(root)")
            guard round % 3 == 2 else { continue }
            let victim = "file-\(prefix)-\(round - 1)"
            say("unpinning \(victim)")
            _ = try store.unpin(victim)
            try store.collectGarbage()
        }
    }

    private static func addFile(_ ingest: Ingest, seed: inout UInt64) throws -> CID {
        let builder = FileBuilder(ingest: ingest)
        for _ in 0..<Int(next(&seed) % 30) {
            let word = next(&seed)
            try builder.write([UInt8](repeating: UInt8(truncatingIfNeeded: word), count: Int(word % 300_000)))
            try builder.write(withUnsafeBytes(of: word) { Array($0) })
        }
        return try builder.finish().cid
    }

    /// Past any buffer of this process, which would go with it.
    private static func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(1, bytes, bytes.count)
    }

    private static func next(_ state: inout UInt64) -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
