internal import BlockStore
internal import Database
internal import Glibc
internal import MRProtocol
internal import Multiformats

/// The outputs that a node remembers, as its store and its user see them: blocks that can be done without.
///
/// Opens `jobs.db` for each call, beside the job service, which has it open too.
struct RememberedOutputs: Sendable {
    /// Shares of the remembered bytes that are given up at least when the store is full, so that not every batch of
    /// blocks starts a collection.
    static let shareGivenUp: UInt64 = 4

    let store: SQLiteBlockStore
    let databasePath: String

    /// The database, when there is one.
    private var database: JobDatabase? {
        access(databasePath, F_OK) == 0 ? JobDatabase(path: databasePath) : nil
    }

    /// Bytes of the outputs; 0 when `jobs.db` cannot be read, which commands about jobs report.
    var byteCount: UInt64 { (try? database?.rememberedUsage())?.byteCount ?? 0 }

    /// Gives up outputs, those used longest ago first, until so many bytes are free or nothing is remembered.
    ///
    /// What hinders it shows as the full store that it did not prevent.
    func makeRoom(byteCount: UInt64) {
        guard let database else { return }
        var missing = byteCount
        while missing > 0 {
            let all = (try? database.rememberedUsage())?.byteCount ?? 0
            let share = max(missing, all / RememberedOutputs.shareGivenUp)
            guard let keys = try? database.forgetOldest(byteCount: share), !keys.isEmpty,
                let report = try? drop(Set(keys.map(JobStorage.pinName))), report.damagedPins.isEmpty
            else { return }
            missing -= min(missing, report.removedByteCount)
        }
    }

    /// Removes pins, and the blocks that only they kept.
    private func drop(_ names: Set<String>) throws(BlockStoreError) -> GarbageReport {
        let pins = try store.pins().filter { names.contains($0.name) }
        for pin in pins { _ = try store.unpin(pin.name) }
        return try store.collect(pins.map(\.root))
    }

    /// Forgets all outputs and removes their pins; the next collection takes their blocks.
    func forgetAll() throws(NodeError) {
        if let database {
            do throws(DatabaseError) { try database.forgetAll() } catch {
                throw NodeError(.database, database.explanation(of: error))
            }
        }
        do throws(BlockStoreError) {
            for pin in try store.pins() where pin.name.hasPrefix(JobStorage.rememberedPinPrefix) {
                _ = try store.unpin(pin.name)
            }
        } catch {
            throw NodeError(error)
        }
    }
}
