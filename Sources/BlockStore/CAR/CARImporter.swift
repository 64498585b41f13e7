public import Multiformats

/// Imports CAR files: all of one, or nothing.
public enum CARImporter {
    /// What was in a CAR.
    public struct Report: Hashable, Sendable {
        /// The roots of the header.
        public var roots: [CID] = []
        /// Sections, also repeated ones.
        public var blockCount = 0
        /// Bytes of their blocks.
        public var byteCount: UInt64 = 0
    }

    /// Reads, checks and stores a CAR.
    ///
    /// - Parameters:
    ///   - store: where the blocks go.
    ///   - pinName: gives a root the name it is pinned by; `nil` leaves it without a pin. A root that is pinned must be
    ///     complete in the store afterwards.
    ///   - read: fills a buffer from its front and returns the number of bytes; 0 at the end of the file.
    /// - Returns: what was imported.
    /// - Throws: `.badCAR`, `.badBlock`, `.unsupported` with the offset; `.notFound` when a root that is to be pinned
    ///   is incomplete; `.full`; what `read` throws. In all these cases the store is as before.
    public static func run(
        into store: any BlockStore,
        pinName: (CID) -> String?,
        read: @escaping (UnsafeMutableRawBufferPointer) throws -> Int
    ) throws -> Report {
        let ingest = try store.makeIngest()
        do {
            let report = try putAll(ingest, read)
            try ingest.flush()
            let pins = report.roots.compactMap { root in pinName(root).map { Pin(name: $0, root: root) } }
            for pin in pins { try ingest.protectDAG(pin.root, in: store) }
            if pins.isEmpty { try ingest.flush(durable: true) }
            try pins.isEmpty ? ingest.close() : ingest.pin(pins, closing: true)
            return report
        } catch {
            // The first failure is the one to tell; what could not be removed is left to the collector.
            try? ingest.abandon()
            throw error
        }
    }

    private static func putAll(
        _ ingest: Ingest,
        _ read: @escaping (UnsafeMutableRawBufferPointer) throws -> Int
    ) throws -> Report {
        var reader = try CARReader(read)
        var report = Report(roots: reader.roots)
        while let (cid, bytes, offset) = try reader.next() {
            do throws(BlockStoreError) {
                // The reader has checked it, unless it is of a hash that `put` refuses.
                let isChecked = cid.multihash.code == Multihash.sha256Code
                try ingest.put(cid, Array(bytes), verifying: !isChecked)
            } catch {
                throw error.at(offset: offset)
            }
            report.blockCount += 1
            report.byteCount += UInt64(bytes.count)
        }
        return report
    }
}
