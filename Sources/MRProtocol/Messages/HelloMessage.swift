internal import Multiformats

/// Who a node is and what it can run; call and answer alike.
package struct HelloMessage: Equatable, Sendable {
    /// Version of the protocol; a reader of version 1 refuses only 0.
    package var version: UInt32 = 0
    /// Name and version of the program.
    package var agent = ""
    /// Engines as `name/version`.
    package var engines: [String] = []
    package var slots: UInt32 = 0
    package var busySlots: UInt32 = 0
    package var features: [String] = []

    /// The version that this program speaks.
    package static let currentVersion: UInt32 = 1
    /// Most engines, and most features.
    package static let maxNameCount = 64
    /// Longest name, in bytes.
    package static let maxNameByteCount = 128

    init() {}

    /// Introduces this node.
    package init(agent: String, engines: [String], slots: UInt32, busySlots: UInt32, features: [String] = [])
    {
        version = Self.currentVersion
        self.agent = agent
        self.engines = engines
        self.slots = slots
        self.busySlots = busySlots
        self.features = features
    }
}

extension HelloMessage: MessagePart {
    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        if let bytes = field.bytes, bytes.count > Self.maxNameByteCount, 2...6 ~= field.number {
            throw .value("name")
        }
        switch field.number {
        case 1: version = field.number(UInt32.self) ?? version
        case 2: agent = try field.text("agent") ?? agent
        case 3:
            if let name = try field.text("name") {
                try engines.append(name, limit: Self.maxNameCount, field: "engines")
            }
        case 4: slots = field.number() ?? slots
        case 5: busySlots = field.number() ?? busySlots
        case 6:
            if let name = try field.text("name") {
                try features.append(name, limit: Self.maxNameCount, field: "features")
            }
        default: break
        }
    }

    func write(to writer: inout Protobuf.Writer) {
        writer.number(1, version)
        writer.text(2, agent)
        for name in engines { writer.string(3, name) }
        writer.number(4, slots)
        writer.number(5, busySlots)
        for name in features { writer.string(6, name) }
    }
}
