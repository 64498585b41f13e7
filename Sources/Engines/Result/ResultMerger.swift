public import MRProtocol

/// Joins the parts of a result into one sequence of lines in key order.
public enum ResultMerger {
    /// Memory for the read buffers of all parts together, in bytes.
    public static let bufferByteCount = 32 << 20
    private static let minPartBufferByteCount = 512
    private static let maxPartBufferByteCount = 256 << 10
    private static let outputByteCount = 128 << 10

    /// Hands the merged lines to `body` in large pieces.
    ///
    /// A key lies in one part only, so its lines stay together and in order.
    ///
    /// `parts` are `part-00000` and so on, in that order; `rule` is `KeyRule(of:)` of the job. Without one it is found from
    /// the lines, which are read once more for it; when no rule explains them the parts follow one another.
    ///
    /// - Throws: what reading a part or `body` throws.
    public static func merge(
        _ parts: [any RunBytes],
        rule: KeyRule?,
        _ body: (UnsafeRawBufferPointer) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        let filled = parts.filter { $0.byteCount > 0 }
        var known = rule
        if known == nil, filled.count > 1 { known = try findRule(parts) }
        guard filled.count > 1, let known else {
            for part in filled { try copy(part, body) }
            return
        }
        try merge(cursors(filled, rule: known), body)
    }

    private static func merge(
        _ cursors: [LineCursor],
        _ body: (UnsafeRawBufferPointer) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        let merger = try RunMerger(cursors)
        let output = GrowingBytes(capacity: outputByteCount + 1024)
        while let smallest = merger.smallest {
            output.append(smallest.line)
            if output.count >= outputByteCount {
                try body(output.bytes)
                output.removeAll()
            }
            try merger.advance()
        }
        if output.count > 0 { try body(output.bytes) }
    }

    private static func cursors(_ parts: [any RunBytes], rule: KeyRule) -> [LineCursor] {
        let share = bufferByteCount / max(1, parts.count)
        let buffer = min(maxPartBufferByteCount, max(minPartBufferByteCount, share))
        return parts.map { LineCursor($0, rule: rule, bufferByteCount: buffer) }
    }

    /// The likeliest rule that no line speaks against.
    private static func findRule(_ parts: [any RunBytes]) throws(TaskFault) -> KeyRule? {
        var evidence = KeyRuleEvidence(partCount: parts.count)
        for (number, part) in parts.enumerated() where part.byteCount > 0 {
            let cursor = LineCursor(part, rule: .wholeLine, bufferByteCount: maxPartBufferByteCount)
            while evidence.fitting.count > 1, try cursor.advance() {
                evidence.add(ArraySlice(cursor.keyBytes), part: number)
            }
        }
        return evidence.fitting.first
    }

    private static func copy(
        _ part: any RunBytes,
        _ body: (UnsafeRawBufferPointer) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: maxPartBufferByteCount, alignment: 16)
        defer { buffer.deallocate() }
        var offset: UInt64 = 0
        while offset < part.byteCount {
            let count = Int(min(UInt64(buffer.count), part.byteCount - offset))
            let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            try part.read(at: offset, into: piece)
            try body(UnsafeRawBufferPointer(piece))
            offset += UInt64(count)
        }
    }
}
