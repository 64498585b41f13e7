import FunctionProtocol
import Glibc

/// Does what tests of the sandbox ask for: each record is a request, each answer a pair.
///
/// Harmless wherever it runs: it can do no more than any function's code could.
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
                try answer(String(decoding: record, as: UTF8.self), channel)
            }
        }
    }

    /// A request that is none is its own answer.
    private func answer(_ request: String, _ channel: Channel) throws(FunctionFault) {
        switch request {
        case "throw": throw FunctionFault(.threw, "the probe was told to throw")
        case "log": channel.log("a line\n".utf8)
        case "count": channel.count(CounterIncrement(group: "probe", name: "asked", amount: 2))
        case "escape": for escape in Escape.all { try emit(escape.name, escape.refusal(), channel) }
        case "loop": while true { sched_yield() }
        case "wait": while true { pause() }
        case "crash": crash()
        case "take memory": while true { takeMemory() }
        case "emit for ever": while true { try emit(request, nil, channel) }
        case "emit nothing for ever": while true { try emit("", nil, channel) }
        case "log for ever": while true { channel.log("a line\n".utf8) }
        case "report for ever": while true { channel.status(request.utf8) }
        default: try emit(request, nil, channel)
        }
    }

    private func emit(_ key: String, _ value: String?, _ channel: Channel) throws(FunctionFault) {
        var pair: [UInt8] = []
        PackedPairs.append(key: key.utf8, value: value?.utf8, to: &pair)
        try channel.emit(pair)
    }

    /// Writes where nothing is.
    private func crash() {
        UnsafeMutablePointer<UInt8>(bitPattern: 1)?.pointee = 1
    }

    /// Memory that is written to, and lost.
    private func takeMemory() {
        let byteCount = 1 << 20
        memset(malloc(byteCount), 1, byteCount)
    }
}
