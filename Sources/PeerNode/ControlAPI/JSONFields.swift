internal import Multiformats

/// Something with a stable JSON form in the control API.
package protocol JSONMessage {
    /// The JSON form; members are documented in docs/control-api.md.
    var json: JSON { get }
    /// Reads the JSON form; members that are not known are ignored.
    ///
    /// - Throws: `NodeError` with code `invalidArgument`.
    init(json: JSON) throws(NodeError)
}

/// Reads the members of one JSON object, with errors that name the member.
struct JSONFields {
    let json: JSON
    let subject: String

    init(_ json: JSON, of subject: String) throws(NodeError) {
        guard case .object = json else { throw NodeError(.invalidArgument, "\(subject): not a JSON object") }
        self.json = json
        self.subject = subject
    }

    func fault(_ name: String, _ expected: String) -> NodeError {
        NodeError(.invalidArgument, "\(subject): «\(name)» is not \(expected)")
    }

    /// The member, unless it is absent or null.
    func optional(_ name: String) -> JSON? {
        guard let value = json[name], value != .null else { return nil }
        return value
    }

    func text(_ name: String) throws(NodeError) -> String {
        guard let text = json[name]?.text else { throw fault(name, "a string") }
        return text
    }

    func int(_ name: String) throws(NodeError) -> Int {
        guard let value = json[name]?.int else { throw fault(name, "an integer") }
        return value
    }

    func unsigned(_ name: String) throws(NodeError) -> UInt64 {
        guard let value = json[name]?.unsigned else { throw fault(name, "a number that is not negative") }
        return value
    }

    func double(_ name: String) throws(NodeError) -> Double {
        guard let value = json[name]?.double else { throw fault(name, "a number") }
        return value
    }

    func flag(_ name: String) throws(NodeError) -> Bool {
        guard let value = json[name]?.flag else { throw fault(name, "true or false") }
        return value
    }

    func cid(_ name: String) throws(NodeError) -> CID {
        guard let cid = CID(try text(name)) else { throw fault(name, "a CID") }
        return cid
    }

    func optionalCID(_ name: String) throws(NodeError) -> CID? {
        optional(name) == nil ? nil : try cid(name)
    }

    func value<Value: RawRepresentable<String>>(_ name: String) throws(NodeError) -> Value {
        guard let value = Value(rawValue: try text(name)) else { throw fault(name, "a known value") }
        return value
    }

    func array(_ name: String) throws(NodeError) -> [JSON] {
        guard let elements = json[name]?.elements else { throw fault(name, "an array") }
        return elements
    }

    func texts(_ name: String) throws(NodeError) -> [String] {
        var texts: [String] = []
        for element in try array(name) {
            guard let text = element.text else { throw fault(name, "an array of strings") }
            texts.append(text)
        }
        return texts
    }

    func cids(_ name: String) throws(NodeError) -> [CID] {
        var cids: [CID] = []
        for text in try texts(name) {
            guard let cid = CID(text) else { throw fault(name, "an array of CIDs") }
            cids.append(cid)
        }
        return cids
    }

    func messages<Message: JSONMessage>(_ name: String) throws(NodeError) -> [Message] {
        var messages: [Message] = []
        for element in try array(name) { messages.append(try Message(json: element)) }
        return messages
    }

    func message<Message: JSONMessage>(_ name: String) throws(NodeError) -> Message {
        guard let value = json[name] else { throw fault(name, "an object") }
        return try Message(json: value)
    }
}

extension JSON {
    /// A CID as text.
    static func cid(_ cid: CID) -> JSON { .string(cid.description) }
    /// A CID as text, or null.
    static func cid(orNull cid: CID?) -> JSON { .string(orNull: cid?.description) }
    /// An array of messages.
    static func array(of messages: [some JSONMessage]) -> JSON { .array(messages.map(\.json)) }
}
