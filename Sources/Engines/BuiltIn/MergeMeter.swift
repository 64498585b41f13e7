/// Tells how far a reduce is, in bytes of the partition that it reads.
///
/// What is told adds up to no more than the partition has, however often its pairs are read: of several passes each
/// counts for its share, and a merge that begins anew tells nothing until it is past where it was.
struct MergeMeter {
    private let tell: @Sendable (_ byteCount: Int) -> Void
    /// Bytes of the partition that the work done stands for.
    private var position = 0.0
    private var told: UInt64 = 0
    private var pass = 1
    private var passCount = 1
    /// Bytes of the partition that a byte merged in this pass stands for.
    private var weight = 1.0

    /// A meter whose steps go to `tell`.
    init(_ tell: @escaping @Sendable (_ byteCount: Int) -> Void) { self.tell = tell }

    /// Starts from the front, with a merge of so many passes.
    mutating func begin(passCount: Int) {
        self.passCount = passCount
        pass = 1
        position = 0
        weight = 1 / Double(passCount)
    }

    /// Goes on with the next pass.
    ///
    /// - Parameters:
    ///   - byteCount: bytes of the runs that it merges.
    ///   - total: bytes of the partition.
    mutating func nextPass(over byteCount: UInt64, of total: UInt64) {
        let share = Double(total) / Double(passCount)
        position = share * Double(pass)
        pass += 1
        weight = share / Double(max(1, byteCount))
    }

    /// Counts bytes that were merged.
    ///
    /// - Parameters:
    ///   - byteCount: bytes of the runs of this pass.
    ///   - total: bytes of the partition as far as its runs are open.
    mutating func advance(by byteCount: Double, of total: UInt64) {
        position += byteCount * weight
        let reached = min(total, UInt64(position.rounded()))
        guard reached > told else { return }
        tell(Int(clamping: reached - told))
        told = reached
    }
}
