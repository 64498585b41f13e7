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
