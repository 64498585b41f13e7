package import Multiformats

extension TaskCounters {
    private static let fields: [(String, any WritableKeyPath<TaskCounters, UInt64> & Sendable)] = [
        ("inputRecords", \.inputRecords), ("inputBytes", \.inputBytes), ("mapPairs", \.mapOutputPairs),
        ("combinedPairs", \.combinedPairs), ("shuffledBytes", \.shuffledBytes),
        ("reducePairs", \.reduceInputPairs), ("reduceKeys", \.reduceInputKeys),
        ("outputRecords", \.outputRecords), ("outputBytes", \.outputBytes),
        ("spilledBytes", \.spilledBytes), ("skippedRecords", \.skippedRecords),
        ("badRecords", \.badRecords),
    ]

    /// The counters that are not zero, by name; those of user functions under `user`.
    package var dagCBOR: DagCBOR {
        var entries: [String: DagCBOR] = [:]
        for (name, path) in TaskCounters.fields where self[keyPath: path] != 0 {
            entries[name] = .unsigned(self[keyPath: path])
        }
        if !user.isEmpty { entries["user"] = .map(user.mapValues { .integer($0) }) }
        return .map(entries)
    }

    /// Reads counters; unknown names are passed over.
    package init(_ value: DagCBOR) {
        self.init()
        guard let entries = value.entries else { return }
        for (name, path) in TaskCounters.fields {
            if case .unsigned(let count)? = entries[name] { self[keyPath: path] = count }
        }
        for (name, value) in entries["user"]?.entries ?? [:] {
            user[name] = value.signed
        }
    }
}
