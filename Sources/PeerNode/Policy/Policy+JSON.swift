import Multiformats

// The strict form of policy.json: an unknown name, a wrong type or a value out of range is an error that says where,
// because a misread rule would open the node.

extension Policy {
    /// Longest policy file, in bytes.
    public static let fileByteLimit = 1 << 20
    /// Version of the file's form.
    static let formatVersion = 1

    /// Reads the text of a policy file; what it leaves out is as by default.
    ///
    /// - Parameters:
    ///   - text: JSON.
    ///   - file: what errors call it.
    /// - Throws: `NodeError` with code `file`, naming the line or the field.
    public init(parsing text: some Collection<UInt8>, file: String) throws(NodeError) {
        let json: JSON
        do throws(JSONFault) {
            json = try JSON(parsing: text, byteLimit: Policy.fileByteLimit)
        } catch {
            switch error {
            case .malformed(let line, let column, let reason):
                throw NodeError(.file, "\(file), line \(line), column \(column): \(reason)")
            case .tooLong, .tooDeep:
                throw NodeError(.file, "\(file) is over \(Policy.fileByteLimit) bytes or too deep")
            }
        }
        do throws(PolicyFieldFault) {
            try self.init(json)
        } catch {
            throw NodeError(.file, "\(file): \(error.field.isEmpty ? "" : "\(error.field): ")\(error.reason)")
        }
    }

    init(_ json: JSON) throws(PolicyFieldFault) {
        self.init()
        var sections = try PolicyFields(json, at: "")
        if let version = sections.take("version"), version.int != Policy.formatVersion {
            throw PolicyFieldFault("version", "only version \(Policy.formatVersion) is known")
        }
        if let value = sections.take("unconfined") {
            guard let flag = value.flag else { throw PolicyFieldFault("unconfined", "must be true or false") }
            allowsUnconfined = flag
        }
        if let value = sections.take("self") {
            own = try PolicyGrant(value, at: "self", allowsCommands: true)
        }
        if let value = sections.take("network") {
            network = try PolicyGrant(value, at: "network", allowsCommands: false)
        }
        if let value = sections.take("others") {
            others = try PolicyGrant(value, at: "others", allowsCommands: false)
        }
        if let value = sections.take("peers") { peers = try Policy.peers(value) }
        try sections.end(known: ["version", "unconfined", "self", "network", "peers", "others"])
    }

    private static func peers(_ json: JSON) throws(PolicyFieldFault) -> [PeerID: PolicyGrant] {
        guard let members = json.members else {
            throw PolicyFieldFault("peers", "must be an object of peer ids")
        }
        guard members.count <= maxPeerCount else {
            throw PolicyFieldFault("peers", "names more than \(maxPeerCount) peers")
        }
        var peers: [PeerID: PolicyGrant] = [:]
        for member in members {
            let path = "peers.\(member.name)"
            guard let peer = PeerID(member.name) else {
                throw PolicyFieldFault(path, "is not a peer id such as 12D3KooW…")
            }
            guard peers[peer] == nil else { throw PolicyFieldFault(path, "is named twice") }
            peers[peer] = try PolicyGrant(member.value, at: path, allowsCommands: true)
        }
        return peers
    }

    /// The file's form, with nothing left out.
    public var json: JSON {
        let named = peers.sorted { $0.key < $1.key }.map { JSON.Member($0.key.description, $0.value.json) }
        return [
            "version": .count(Policy.formatVersion), "unconfined": .bool(allowsUnconfined),
            "self": own.json, "network": network.json, "peers": .object(named), "others": others.json,
        ]
    }
}

extension PolicyGrant {
    init(_ json: JSON, at path: String, allowsCommands: Bool) throws(PolicyFieldFault) {
        var fields = try PolicyFields(json, at: path)
        guard let names = fields.take("engines")?.elements else {
            throw PolicyFieldFault("\(path).engines", "must be an array of engines; [] allows nothing")
        }
        var engines: Set<PolicyEngine> = []
        for (index, name) in names.enumerated() {
            engines.insert(try PolicyEngine(name, at: "\(path).engines[\(index)]", allowsCommands))
        }
        self.init(engines)
        if let value = fields.take("slots") {
            guard let slots = value.int, 1...JobLimits.maxSlots ~= slots else {
                throw PolicyFieldFault("\(path).slots", "must be a number from 1 to \(JobLimits.maxSlots)")
            }
            self.slots = slots
        }
        if let value = fields.take("limits") { limits = try PolicyLimits(value, at: "\(path).limits") }
        try fields.end(known: ["engines", "slots", "limits"])
    }

    var json: JSON {
        let names = PolicyEngine.allCases.filter { engines.contains($0) }.map { JSON.string($0.rawValue) }
        var members = [JSON.Member("engines", .array(names))]
        if let slots { members.append(JSON.Member("slots", .count(slots))) }
        if !limits.bounds.isEmpty { members.append(JSON.Member("limits", limits.json)) }
        return .object(members)
    }
}

extension PolicyEngine {
    fileprivate init(_ json: JSON, at path: String, _ allowsCommands: Bool) throws(PolicyFieldFault) {
        guard let name = json.text else { throw PolicyFieldFault(path, "must be the name of an engine") }
        guard let engine = PolicyEngine(rawValue: name) else {
            throw PolicyFieldFault(path, PolicyEngine.unknown(name))
        }
        guard engine != .command || allowsCommands else {
            throw PolicyFieldFault(path, "commands can be allowed to `self` and to named peers only")
        }
        self = engine
    }

    /// Says that there is no such engine, and which there are.
    public static func unknown(_ name: String) -> String {
        let names = allCases.map(\.rawValue)
        let near = Spelling.nearest(to: name, among: names).map { " (did you mean \($0)?)" } ?? ""
        return "there is no engine «\(name)»\(near); there are \(names.joined(separator: ", "))"
    }
}

extension PolicyLimits {
    fileprivate init(_ json: JSON, at path: String) throws(PolicyFieldFault) {
        self.init()
        guard let members = json.members else { throw PolicyFieldFault(path, "must be an object") }
        for member in members {
            guard let name = Name(rawValue: member.name) else {
                throw PolicyFieldFault(path, PolicyLimits.unknown(member.name))
            }
            // A number is read as its text: seconds, bytes or a count.
            let text = member.value.text ?? member.value.int.map(String.init)
            guard let value = text.flatMap(name.parse) else {
                throw PolicyFieldFault("\(path).\(member.name)", "must be \(name.example)")
            }
            bounds[name] = value
        }
    }

    /// Says that there is no such limit, and which there are.
    public static func unknown(_ name: String) -> String {
        let names = Name.allCases.map(\.rawValue)
        let near = Spelling.nearest(to: name, among: names).map { " (did you mean \($0)?)" } ?? ""
        return "there is no limit «\(name)»\(near); there are \(names.joined(separator: ", "))"
    }

    var json: JSON {
        .object(
            Name.allCases.compactMap { name in
                bounds[name].map { value in
                    let text = JSON.string(name.format(value))
                    return JSON.Member(name.rawValue, name.unit == .count ? .count(value) : text)
                }
            }
        )
    }
}

extension PolicyReport: JSONMessage {
    package var json: JSON {
        [
            "file": .string(path), "exists": .bool(hasFile),
            "privateNetwork": isInPrivateNetwork.map(JSON.bool) ?? .null, "sandbox": sandbox.json,
            "policy": policy.json,
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "policy")
        let policy: Policy
        do throws(PolicyFieldFault) { policy = try Policy(json["policy"] ?? .null) } catch {
            throw NodeError(.invalidArgument, "policy: \(error.field): \(error.reason)")
        }
        self.init(
            policy: policy,
            path: try fields.text("file"),
            hasFile: try fields.flag("exists"),
            isInPrivateNetwork: fields.optional("privateNetwork")?.flag,
            sandbox: try fields.message("sandbox")
        )
    }
}

extension SandboxState: JSONMessage {
    package var json: JSON {
        switch self {
        case .unknown: ["state": "unknown"]
        case .tried(let missing):
            [
                "state": .string(missing.isEmpty ? "whole" : "lacking"),
                "missing": .array(missing.map(JSON.string)),
            ]
        case .unavailable(let reason): ["state": "unavailable", "reason": .string(reason)]
        }
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "sandbox")
        switch try fields.text("state") {
        case "whole", "lacking": self = .tried(missing: try fields.texts("missing"))
        case "unavailable": self = .unavailable(try fields.text("reason"))
        default: self = .unknown
        }
    }
}

extension PolicyGrant {
    /// Reads what a request allows to a subject.
    ///
    /// - Throws: `NodeError` with code `invalidArgument`, naming the field.
    init(json: JSON, for subject: PolicySubject) throws(NodeError) {
        let isNamed = if case .peer = subject { true } else { subject == .own }
        do throws(PolicyFieldFault) {
            self = try PolicyGrant(json, at: subject.text, allowsCommands: isNamed)
        } catch {
            throw NodeError(.invalidArgument, "\(error.field): \(error.reason)")
        }
    }
}

/// What is wrong with a policy, and where: `network.engines[1]`.
struct PolicyFieldFault: Error, Equatable {
    var field: String
    var reason: String

    init(_ field: String, _ reason: String) {
        self.field = field
        self.reason = reason
    }
}

/// The members of an object, taken one by one so that what is left is unknown.
private struct PolicyFields {
    private var rest: [JSON.Member]
    private let path: String

    init(_ json: JSON, at path: String) throws(PolicyFieldFault) {
        guard let members = json.members else { throw PolicyFieldFault(path, "must be an object") }
        rest = members
        self.path = path
    }

    mutating func take(_ name: String) -> JSON? {
        guard let index = rest.firstIndex(where: { $0.name == name }) else { return nil }
        return rest.remove(at: index).value
    }

    func end(known: [String]) throws(PolicyFieldFault) {
        guard let name = rest.first?.name else { return }
        let near = Spelling.nearest(to: name, among: known).map { " (did you mean \($0)?)" } ?? ""
        throw PolicyFieldFault(
            path,
            "there is no «\(name)»\(near); there are \(known.joined(separator: ", "))"
        )
    }
}
