import MRProtocol
import Multiformats

extension TaskFault {
    /// Stable name of the kind of fault.
    var code: String {
        switch self {
        case .recordTooLong: "recordTooLong"
        case .blockUnavailable: "blockUnavailable"
        case .mapOutputUnavailable: "mapOutputUnavailable"
        case .malformedMapOutput: "malformedMapOutput"
        case .argument: "argument"
        case .function: "function"
        case .userFunction(let failure): "function." + failure.kind.rawValue
        case .malformedInput: "malformedInput"
        case .malformedValue: "malformedValue"
        case .store: "store"
        case .cancelled: "cancelled"
        }
    }

    /// One line: what failed, where, and what to do if something can be done.
    package var message: String {
        switch self {
        case .recordTooLong(let file, let offset, let limit):
            "a record of \(file) at byte \(offset) is longer than \(limit) bytes; raise the limit or skip long records"
        case .blockUnavailable(let cid, let file, let offset, let reason):
            TaskFault.unavailable(cid, file, offset, reason)
        case .mapOutputUnavailable(let cid, let reason): "map output \(cid) cannot be read: \(reason)"
        case .malformedMapOutput(let index, let reason):
            "map output number \(index) is not a run file: \(reason)"
        case .argument(let name, let reason): "argument \(name): \(reason)"
        case .function(let name, let file, let offset, let reason):
            "\(name) failed on the record of \(file) at byte \(offset): \(reason)"
        case .userFunction(let failure): failure.headline
        case .malformedInput(let file, let offset, let reason): "\(file) at byte \(offset): \(reason)"
        case .malformedValue(let key, let reason):
            "a value of key \"\(String(decoding: key.prefix(100), as: UTF8.self))\": \(reason)"
        case .store(let reason): reason
        case .cancelled: "cancelled"
        }
    }
}

extension TaskFault {
    /// Names the block once, also where the input is that block, and where the reason names it too.
    private static func unavailable(_ cid: CID, _ file: String, _ offset: UInt64, _ reason: String) -> String
    {
        let name = cid.description
        let place = file.isEmpty || file == name ? "" : " of \(file) at byte \(offset)"
        let why = reason.replacing("block \(name)", with: "it").replacing(name, with: "it")
        return "block \(name)\(place) cannot be read: \(why)"
    }

    /// The fault with what `names` says instead of the CIDs of functions.
    func naming(_ names: [CID: String]) -> TaskFault {
        guard case .userFunction(let failure) = self else { return self }
        return .userFunction(failure.naming(names))
    }

    /// The fault of a map that was to skip up to `limit` records, and met more: says so.
    func pastSkipping(upTo limit: Int) -> TaskFault {
        guard limit > 0, case .userFunction(var failure) = self, failure.kind == .threw,
            failure.role == "map",
            !failure.input.isEmpty
        else { return self }
        failure.message +=
            " (more than \(limit == 1 ? "1 record" : "\(limit) records"), the limit of --skip-bad)"
        return .userFunction(failure)
    }

    /// What is known beside the message, a line each.
    var details: [String] { if case .userFunction(let failure) = self { failure.details } else { [] } }

    /// Message and details.
    func report(naming names: [CID: String]) -> String {
        let named = naming(names)
        return ([named.message] + named.details).joined(separator: "\n")
    }
}

extension FunctionFailure {
    /// `wc.js:3:14: TypeError: …`, or for a command `python3 map.py: it ended with status 1`.
    var headline: String {
        let place = line > 0 ? ":\(line)" + (column > 0 ? ":\(column)" : "") : ""
        return "\(role.isEmpty ? "" : role + " ")\(function)\(place): \(message)"
    }

    /// Stack, record and excerpt, a line each; empty when nothing is known.
    var details: [String] {
        var lines = stack.split(separator: "\n").map { AttemptFailure.stackMark + $0 }
        if !input.isEmpty { lines.append("  record: \(input) at byte \(offset)") }
        if !excerpt.isEmpty {
            lines.append(
                "  \(input.isEmpty ? "key" : "text"): \(String(decoding: excerpt, as: UTF8.self).debugDescription)"
            )
        }
        return lines
    }

    /// The failure with what `names` says instead of the function's CID.
    func naming(_ names: [CID: String]) -> FunctionFailure {
        var named = self
        for (cid, name) in names {
            let text = cid.description
            named.function = named.function.replacing(text, with: name)
            named.message = named.message.replacing(text, with: name)
            named.stack = named.stack.replacing(text, with: name)
        }
        return named
    }
}
