import FunctionProtocol

/// Does what tests of the sandbox ask for: each record is a request, each answer a pair.
final class ProbeRunner: Runner {
    let readiness = Readiness(roles: [.map, .combine, .reduce], usesPosition: true)

    init(_ preparation: Preparation) throws(FunctionFault) {
        if preparation.program == Array("invalid".utf8) {
            throw FunctionFault(.invalid, "the probe was told to be invalid", line: 1, column: 2)
        }
    }

    func execute(_ start: TaskStart, _ channel: Channel) throws(FunctionFault) {
        while let frame = try channel.next() {
            guard frame.kind == .records else {
                try channel.emit(frame.body)
                continue
            }
            guard let chunk = RecordChunk(body: frame.body) else {
                throw FunctionFault(.protocolViolation, "a malformed record chunk")
            }
            for record in chunk.bytes.split(separator: UInt8(ascii: "\n")) {
                try answer(Array(record), channel)
            }
        }
    }

    private func answer(_ request: [UInt8], _ channel: Channel) throws(FunctionFault) {
        switch String(decoding: request, as: UTF8.self) {
        case "throw":
            throw FunctionFault(.threw, "the probe was told to throw")
        case "log":
            channel.log("a line\n".utf8)
        case "count":
            channel.count(CounterIncrement(group: "probe", name: "asked", amount: 2))
        default:
            var pair: [UInt8] = []
            PackedPairs.append(key: request, value: nil as [UInt8]?, to: &pair)
            try channel.emit(pair)
        }
    }
}
