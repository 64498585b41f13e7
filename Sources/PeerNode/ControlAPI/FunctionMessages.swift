internal import MRProtocol

/// Functions as the control API says what they are.
extension FunctionDescription: JSONMessage {
    package var json: JSON {
        [
            "engine": .string(engine.rawValue),
            "roles": .array(Role.allCases.filter { roles.contains($0) }.map { .string($0.rawValue) }),
            "usesPosition": .bool(usesPosition), "missing": .array(missing.map(JSON.string)),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "function")
        self.init(
            engine: try fields.value("engine"),
            roles: Set(try fields.texts("roles").compactMap(Role.init)),
            usesPosition: try fields.flag("usesPosition"),
            missing: try fields.texts("missing")
        )
    }
}

/// Limits as query items, under the names that a specification gives them.
extension TaskLimits {
    var query: [(String, String)] {
        TaskLimits.fields.compactMap { field in self[keyPath: field.path].map { (field.name, "\($0)") } }
    }

    init(of request: HTTPRequest) throws(NodeError) {
        self.init()
        for field in TaskLimits.fields {
            guard let text = request.queryItem(field.name) else { continue }
            guard let value = UInt64(text), value <= TaskLimits.maxValue else {
                throw NodeError(.invalidArgument, "\(field.name) is a number, not «\(text)»")
            }
            self[keyPath: field.path] = value
        }
    }
}
