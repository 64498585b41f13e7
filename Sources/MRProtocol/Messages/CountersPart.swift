internal import Multiformats

/// Counters of a task on the wire; those of user functions are entries of a map, sorted by name.
struct CountersPart: MessagePart {
    var counters = TaskCounters()

    private static let fields: [any WritableKeyPath<TaskCounters, UInt64> & Sendable] = [
        \.inputRecords, \.inputBytes, \.mapOutputPairs, \.combinedPairs, \.shuffledBytes, \.reduceInputPairs,
        \.reduceInputKeys, \.outputRecords, \.outputBytes, \.spilledBytes, \.skippedRecords,
    ]
    /// Behind the map of user counters.
    private static let badRecordsNumber: UInt64 = 13

    init() {}
    init(counters: TaskCounters) { self.counters = counters }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        if let value = field.varint, 1...Self.fields.count ~= Int(clamping: field.number) {
            counters[keyPath: Self.fields[Int(field.number) - 1]] = value
        }
        if field.number == Self.badRecordsNumber { counters.badRecords = field.varint ?? counters.badRecords }
        guard field.number == 12, let entry = try field.part(EntryPart.self) else { return }
        guard counters.user.count < TaskCounters.maxUserCount,
            entry.name.utf8.count <= TaskCounters.maxUserNameByteCount
        else {
            throw .value("user")
        }
        counters.user[entry.name] = entry.value
    }

    func write(to writer: inout Protobuf.Writer) {
        for (index, field) in Self.fields.enumerated() {
            writer.number(UInt64(index + 1), counters[keyPath: field])
        }
        for (name, value) in counters.user.sorted(by: { $0.key < $1.key }) {
            writer.part(12, EntryPart(name: name, value: value))
        }
        writer.number(Self.badRecordsNumber, counters.badRecords)
    }

    private struct EntryPart: MessagePart {
        var name = ""
        var value: Int64 = 0

        init() {}
        init(name: String, value: Int64) {
            self.name = name
            self.value = value
        }

        mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
            if field.number == 1 { name = try field.text("name") ?? name }
            if field.number == 2 { value = field.varint.map(Int64.init(bitPattern:)) ?? value }
        }

        // Map entries have both fields, as protoc writes them.
        func write(to writer: inout Protobuf.Writer) {
            writer.string(1, name)
            writer.varint(2, UInt64(bitPattern: value))
        }
    }
}
