import Multiformats

/// Which leaves a job maps in which attempts, and which of them are remembered.
///
/// Files of more than `stretchLeafCount` leaves are grouped each by itself; smaller ones that stand next to each other
/// are grouped together, so that thousands of little files do not become thousands of little runs.
package struct MapPlan: Sendable {
    /// Consecutive map tasks with one run file.
    package struct Item: Hashable, Sendable {
        /// Positions in the sequence of all leaves of the job.
        package var leaves: Range<Int>
        /// The run that a previous job made of the same leaves.
        package var remembered: RememberedRun?
        /// The key of the run: of `remembered`, or with the next leaf only if it has yet to be run.
        package var key: TaskKey
    }

    package let files: [InputFile]
    package private(set) var items: [Item] = []
    package let leafCount: Int
    package let byteCount: UInt64
    /// Position of each file's first leaf in the sequence, and behind the last one the number of leaves.
    private let firstLeaf: [Int]
    /// Offset of each leaf in its file.
    private let offsets: [UInt64]
    /// Level of each leaf.
    private let levels: [UInt8]
    private let recordByteLimit: Int
    private let context: TaskKeyContext

    /// Largest file, in leaves, that is grouped with its neighbours.
    package static let stretchLeafCount = 16

    /// Plans the map phase.
    ///
    /// - Parameters:
    ///   - files: the inputs in order.
    ///   - context: what all map tasks' keys share.
    ///   - recordByteLimit: longest record, which bounds how far an attempt reads on.
    ///   - slots: attempts that can run at once on all workers; decides how fine the groups are, never what they compute.
    ///   - isUserFunction: the map is a user function, which maps larger groups.
    ///   - lookUp: finds what is remembered under a key; `nil`: nothing is.
    package init(
        files: [InputFile],
        context: TaskKeyContext,
        recordByteLimit: Int,
        slots: Int,
        isUserFunction: Bool = false,
        lookUp: ((TaskKey) -> RememberedRun?)?
    ) {
        self.files = files
        self.context = context
        self.recordByteLimit = recordByteLimit
        var first = [0]
        first.reserveCapacity(files.count + 1)
        for file in files { first.append((first.last ?? 0) + file.leaves.count) }
        firstLeaf = first
        leafCount = first.last ?? 0
        (offsets, levels, byteCount) = MapPlan.measure(files, leafCount: leafCount)
        let level = LeafGrouping.runLevel(
            leafCount: leafCount,
            slots: slots,
            isUserFunction: isUserFunction
        )
        for stretch in stretches() {
            let whole = LeafGrouping.Group(
                leaves: stretch,
                level: LeafGrouping.topLevel + 1,
                isClosed: false
            )
            append(whole, runLevel: level, lookUp: lookUp)
        }
    }

    /// What an attempt at `item` reads.
    package func assignment(for item: Item) -> MapAssignment {
        MapAssignment(segments: segments(of: item.leaves).map(segment))
    }

    /// File bytes of the leaves of `item`.
    package func byteCount(of item: Item) -> UInt64 {
        segments(of: item.leaves).reduce(0) { sum, part in
            sum + files[part.file].leaves[part.leaves].reduce(0) { $0 + UInt64($1.byteCount) }
        }
    }

    private static func measure(
        _ files: [InputFile],
        leafCount: Int
    ) -> (offsets: [UInt64], levels: [UInt8], byteCount: UInt64) {
        var offsets: [UInt64] = []
        var levels: [UInt8] = []
        offsets.reserveCapacity(leafCount)
        levels.reserveCapacity(leafCount)
        var total: UInt64 = 0
        for file in files {
            var offset: UInt64 = 0
            for leaf in file.leaves {
                offsets.append(offset)
                levels.append(UInt8(clamping: LeafGrouping.level(of: leaf.cid.multihash.digest)))
                offset += UInt64(leaf.byteCount)
            }
            total += offset
        }
        return (offsets, levels, total)
    }

    /// The key of the run of `item` when the attempt read `lookahead` leaves behind its last segment.
    ///
    /// Fewer than one counts as one: every segment that does not end its file reads on.
    package func key(of item: Item, lookahead: Int) -> TaskKey { key(of: item.leaves, lookahead: lookahead) }
}

// MARK: - Groups

extension MapPlan {
    /// Ranges of leaves that are grouped independently of each other.
    private func stretches() -> [Range<Int>] {
        var stretches: [Range<Int>] = []
        var start: Int?
        for (index, file) in files.enumerated() {
            if file.leaves.count > MapPlan.stretchLeafCount {
                if let begin = start { stretches.append(begin..<firstLeaf[index]) }
                start = nil
                stretches.append(firstLeaf[index]..<firstLeaf[index + 1])
            } else if start == nil {
                start = firstLeaf[index]
            }
        }
        if let start { stretches.append(start..<leafCount) }
        return stretches
    }

    /// Adds `group` as one item if it is remembered or right to run whole, else its parts.
    private mutating func append(
        _ group: LeafGrouping.Group,
        runLevel: Int,
        lookUp: ((TaskKey) -> RememberedRun?)?
    ) {
        let start = items.count
        let isWhole = group.level <= LeafGrouping.topLevel && group.isClosed
        if isWhole, let item = rememberedItem(group.leaves, lookUp: lookUp) {
            items.append(item)
            return
        }
        if isWhole, group.level <= runLevel, lookUp == nil || group.level == 0 {
            items.append(Item(leaves: group.leaves, key: key(of: group.leaves, lookahead: 1)))
            return
        }
        for part in LeafGrouping.parts(of: group, leafLevel: leafLevel) {
            append(part, runLevel: runLevel, lookUp: lookUp)
        }
        if isWhole, group.level <= runLevel, items[start...].allSatisfy({ $0.remembered == nil }) {
            items.removeSubrange(start...)
            items.append(Item(leaves: group.leaves, key: key(of: group.leaves, lookahead: 1)))
        }
    }

    private func rememberedItem(_ leaves: Range<Int>, lookUp: ((TaskKey) -> RememberedRun?)?) -> Item? {
        guard let lookUp else { return nil }
        var key = key(of: leaves, lookahead: 1)
        var found = lookUp(key)
        if case .readsOn(let count)? = found {
            key = self.key(of: leaves, lookahead: count)
            found = lookUp(key)
        }
        guard let found, case .run = found else { return nil }
        return Item(leaves: leaves, remembered: found, key: key)
    }

    private func leafLevel(_ leaf: Int) -> Int { Int(levels[leaf]) }

    /// The file that leaf `leaf` belongs to.
    private func file(holding leaf: Int) -> Int {
        var low = 0
        var high = files.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if firstLeaf[middle] <= leaf { low = middle } else { high = middle }
        }
        return low
    }
}

// MARK: - Segments

extension MapPlan {
    private struct Part {
        var file: Int
        /// Positions within the file.
        var leaves: Range<Int>
    }

    private func segments(of leaves: Range<Int>) -> [Part] {
        var parts: [Part] = []
        var leaf = leaves.lowerBound
        var file = file(holding: leaf)
        while leaf < leaves.upperBound {
            let end = min(leaves.upperBound, firstLeaf[file + 1])
            parts.append(Part(file: file, leaves: leaf - firstLeaf[file]..<end - firstLeaf[file]))
            leaf = end
            file += 1
        }
        return parts
    }

    private func segment(_ part: Part) -> MapSegment {
        let leaves = files[part.file].leaves
        let lookahead = lookahead(behind: part)
        return MapSegment(
            fileIndex: part.file,
            fileName: files[part.file].name,
            fileOffset: offsets[firstLeaf[part.file] + part.leaves.lowerBound],
            leaves: Array(leaves[part.leaves]),
            lookahead: Array(leaves[lookahead]),
            reachesEndOfFile: lookahead.upperBound == leaves.count
        )
    }

    /// As many leaves as the longest legal record and its delimiter may reach into.
    private func lookahead(behind part: Part) -> Range<Int> {
        let leaves = files[part.file].leaves
        let needed = recordByteLimit.addingReportingOverflow(2)
        var end = part.leaves.upperBound
        var byteCount = 0
        while end < leaves.count, needed.overflow || byteCount < needed.partialValue {
            byteCount += leaves[end].byteCount
            end += 1
        }
        return part.leaves.upperBound..<end
    }

    private func key(of leaves: Range<Int>, lookahead: Int) -> TaskKey {
        var builder = TaskKeyBuilder(kind: .map, context: context)
        let parts = segments(of: leaves)
        builder.append(parts.count)
        for part in parts {
            let all = files[part.file].leaves
            let end = min(all.count, part.leaves.upperBound + max(1, lookahead))
            builder.append(part.leaves.lowerBound == 0 ? 1 : 0)
            if context.usesPosition {
                builder.append(files[part.file].name)
                builder.append(Int(offsets[firstLeaf[part.file] + part.leaves.lowerBound]))
            }
            builder.append(part.leaves.count)
            builder.append(end - part.leaves.upperBound)
            for leaf in all[part.leaves.lowerBound..<end] { builder.append(leaf.cid) }
            builder.append(end == all.count ? 1 : 0)
        }
        return builder.finish()
    }
}
