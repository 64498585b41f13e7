import MRProtocol

/// How many pairs of a merge go by between two looks at whether to stop.
struct MergeStride {
    /// At least one.
    let pairCount: Int
    private let pairByteCount: Double

    /// The stride of a merge of these parts of runs.
    init(_ entries: [RunIndex.Entry]) {
        let pairs = entries.reduce(0.0) { $0 + Double($1.pairCount) }
        let bytes = entries.reduce(0.0) { $0 + Double($1.byteCount) }
        pairByteCount = pairs > 0 ? bytes / pairs : 0
        let most = Double(RunMerge.maxUncheckedPairCount)
        let fitting = pairByteCount > 0 ? Double(RunMerge.maxUncheckedByteCount) / pairByteCount : most
        pairCount = Int(max(1, min(most, fitting)))
    }

    /// Bytes of so many pairs, taken for equally long.
    func byteCount(ofPairs count: Int) -> Double { Double(count) * pairByteCount }
}
