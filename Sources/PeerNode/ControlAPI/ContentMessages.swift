internal import Multiformats

extension AddedNode: JSONMessage {
    package var json: JSON { ["cid": .cid(cid), "size": .count(size), "dagSize": .count(dagSize)] }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "added node")
        self.init(
            cid: try fields.cid("cid"),
            dagSize: try fields.unsigned("dagSize"),
            size: try fields.unsigned("size")
        )
    }
}

extension NewEntry: JSONMessage {
    package var json: JSON {
        [
            "name": .string(name), "cid": .cid(node.cid), "size": .count(node.size),
            "dagSize": .count(node.dagSize),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "entry")
        self.init(name: try fields.text("name"), node: try AddedNode(json: json))
    }
}

extension ContentInfo: JSONMessage {
    package var json: JSON {
        [
            "cid": .cid(cid), "kind": .string(kind.rawValue), "size": .count(size),
            "target": .string(orNull: target),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "node")
        self.init(
            cid: try fields.cid("cid"),
            kind: try fields.value("kind"),
            size: try fields.unsigned("size"),
            target: fields.optional("target")?.text
        )
    }
}

extension ContentEntry: JSONMessage {
    package var json: JSON {
        ["name": .string(name), "cid": .cid(cid), "size": .count(size), "kind": .string(kind.rawValue)]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "entry")
        self.init(
            name: try fields.text("name"),
            cid: try fields.cid("cid"),
            size: try fields.unsigned("size"),
            kind: try fields.value("kind")
        )
    }
}

extension PinInfo: JSONMessage {
    package var json: JSON { ["cid": .cid(cid), "name": .string(name), "type": "recursive"] }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "pin")
        self.init(cid: try fields.cid("cid"), name: fields.optional("name")?.text ?? "")
    }
}

extension BlockInfo: JSONMessage {
    package var json: JSON { ["cid": .cid(cid), "size": .count(size)] }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "block")
        self.init(cid: try fields.cid("cid"), size: try fields.int("size"))
    }
}

extension DAGStatistics: JSONMessage {
    package var json: JSON { ["blocks": .count(blockCount), "bytes": .count(byteCount)] }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "DAG")
        self.init(blockCount: try fields.unsigned("blocks"), byteCount: try fields.unsigned("bytes"))
    }
}

extension ImportReport: JSONMessage {
    package var json: JSON {
        [
            "roots": .array(roots.map(JSON.cid)), "blocks": .count(blockCount), "bytes": .count(byteCount),
            "pinned": .bool(isPinned),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "import")
        self.init(
            roots: try fields.cids("roots"),
            blockCount: try fields.unsigned("blocks"),
            byteCount: try fields.unsigned("bytes"),
            isPinned: try fields.flag("pinned")
        )
    }
}

extension RepositoryStatistics: JSONMessage {
    package var json: JSON {
        [
            "blocks": .count(blockCount), "bytes": .count(byteCount),
            "limit": byteLimit.map(JSON.count) ?? .null,
            "pins": .count(pinCount), "remembered": .count(rememberedCount),
            "rememberedBytes": .count(rememberedByteCount), "quarantined": .count(quarantinedCount),
            "path": .string(path),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "repository")
        self.init(
            blockCount: try fields.unsigned("blocks"),
            byteCount: try fields.unsigned("bytes"),
            byteLimit: fields.optional("limit")?.unsigned,
            pinCount: try fields.unsigned("pins"),
            rememberedCount: fields.optional("remembered")?.unsigned ?? 0,
            rememberedByteCount: fields.optional("rememberedBytes")?.unsigned ?? 0,
            quarantinedCount: try fields.unsigned("quarantined"),
            path: try fields.text("path")
        )
    }
}

extension CollectionReport: JSONMessage {
    package var json: JSON {
        [
            "removed": .count(removedCount), "bytes": .count(removedByteCount),
            "warnings": .array(warnings.map(JSON.string)),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "collection")
        self.init(
            removedCount: try fields.unsigned("removed"),
            removedByteCount: try fields.unsigned("bytes"),
            warnings: fields.optional("warnings") == nil ? [] : try fields.texts("warnings")
        )
    }
}

extension VerificationReport: JSONMessage {
    package var json: JSON {
        [
            "checked": .count(checkedCount), "corrupt": .array(corrupt.map(JSON.cid)),
            "missing": .array(missing.map(JSON.cid)),
            "neededBy": .object(
                neededBy.map { JSON.Member($0.key.description, .string($0.value)) }
                    .sorted { $0.name < $1.name }
            ),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "verification")
        var neededBy: [CID: String] = [:]
        if case .object(let members)? = fields.optional("neededBy") {
            for member in members {
                if let cid = CID(member.name) { neededBy[cid] = member.value.text }
            }
        }
        self.init(
            checkedCount: try fields.unsigned("checked"),
            corrupt: try fields.cids("corrupt"),
            missing: try fields.cids("missing"),
            neededBy: neededBy
        )
    }
}
