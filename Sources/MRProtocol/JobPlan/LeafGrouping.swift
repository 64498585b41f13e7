import Multiformats

/// Cuts a sequence of leaves into groups at places that the leaves themselves choose.
///
/// A group is what one attempt maps and what is remembered. Boundaries depend on digests and on what stands before them,
/// never on what follows: appending to a file leaves all groups but those of its tail as they are, and after a
/// change in the middle the old boundaries come back.
///
/// The *level* of a leaf is the number of trailing zero bit pairs of its digest, last byte first, so that one leaf in
/// 4^k has level k or more. A group of level k closes behind a leaf of level k or more once it has
/// `minLeafCount(k)` leaves, at the latest at `maxLeafCount(k)`. Groups of level k − 1 divide those of level k.
/// What stands behind the last closed group of level k, the open tail, is divided into closed groups of level k − 1, and so on
/// down to single leaves.
package enum LeafGrouping {
    /// Level of the largest groups: 256 leaves on average, 64 MiB.
    package static let topLevel = 4

    /// Fewest leaves of a closed group: keeps files of equal blocks from falling into single leaves.
    package static func minLeafCount(_ level: Int) -> Int { level == 0 ? 1 : 1 << (2 * level - 1) }
    /// Most leaves of a group.
    package static func maxLeafCount(_ level: Int) -> Int { level == 0 ? 1 : 4 << (2 * level) }

    /// Number of trailing zero bit pairs of `digest`, its last byte first.
    package static func level(of digest: [UInt8]) -> Int {
        var bitCount = 0
        for byte in digest.reversed() {
            bitCount += byte.trailingZeroBitCount
            if byte != 0 { break }
        }
        return bitCount / 2
    }

    /// A run of leaves by their positions in the sequence.
    package struct Group: Hashable, Sendable {
        package var leaves: Range<Int>
        package var level: Int
        /// More leaves behind it would not change it.
        package var isClosed: Bool
    }

    /// Divides `range` into groups of `level`; the last one is closed if `endIsClosed` or its own last leaf closes it.
    package static func groups(
        of level: Int,
        in range: Range<Int>,
        endIsClosed: Bool,
        leafLevel: (Int) -> Int
    ) -> [Group] {
        var groups: [Group] = []
        var start = range.lowerBound
        for leaf in range {
            let count = leaf - start + 1
            let closes = count >= minLeafCount(level) && leafLevel(leaf) >= level
            guard closes || count == maxLeafCount(level) else { continue }
            groups.append(Group(leaves: start..<leaf + 1, level: level, isClosed: true))
            start = leaf + 1
        }
        if start < range.upperBound {
            groups.append(Group(leaves: start..<range.upperBound, level: level, isClosed: endIsClosed))
        }
        return groups
    }

    /// The groups of the next lower level that make up `group`.
    package static func parts(of group: Group, leafLevel: (Int) -> Int) -> [Group] {
        groups(of: group.level - 1, in: group.leaves, endIsClosed: group.isClosed, leafLevel: leafLevel)
    }

    /// Groups for each slot, at least: enough to keep all evenly busy.
    package static let groupsPerSlot = 16
    /// The same where an attempt is dear to begin, up to `functionLevel`.
    package static let functionGroupsPerSlot = 4
    /// Level of the largest groups that are made of a user function's leaves for fewer than `groupsPerSlot` a slot.
    package static let functionLevel = 2

    /// The level at which a job of `leafCount` leaves keeps `slots` slots evenly busy.
    ///
    /// - Parameters:
    ///   - leafCount: leaves of all inputs.
    ///   - slots: attempts at once.
    ///   - isUserFunction: attempts begin with a fresh state of the map's own, and emit fewer pairs the more they read.
    /// - Returns: a level up to `topLevel`.
    package static func runLevel(leafCount: Int, slots: Int, isUserFunction: Bool = false) -> Int {
        let level = runLevel(leafCount: leafCount, slots: slots, groupsPerSlot: groupsPerSlot)
        guard isUserFunction, level < functionLevel else { return level }
        return min(
            functionLevel,
            runLevel(leafCount: leafCount, slots: slots, groupsPerSlot: functionGroupsPerSlot)
        )
    }

    private static func runLevel(leafCount: Int, slots: Int, groupsPerSlot: Int) -> Int {
        var level = 0
        while level < topLevel, (4 << (2 * level)) * slots * groupsPerSlot <= leafCount { level += 1 }
        return level
    }
}
