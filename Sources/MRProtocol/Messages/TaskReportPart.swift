internal import Multiformats

/// The end of a task that succeeded: its sealed receipt, and what its functions said.
struct TaskResultPart: MessagePart {
    var receipt: [UInt8] = []
    var report = TaskReport()

    init() {}

    init(receipt: [UInt8], report: TaskReport) {
        self.receipt = receipt
        self.report = report
    }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        switch field.number {
        case 1: receipt = field.bytes.map(Array.init) ?? receipt
        case 2:
            guard let log = field.bytes else { return }
            guard log.count <= TaskReport.maxLogByteCount else { throw .value("log") }
            report.log = Array(log)
        case 3: report.droppedLogByteCount = field.varint ?? report.droppedLogByteCount
        case 4:
            guard let status = try field.text("status") else { return }
            guard status.utf8.count <= TaskReport.maxStatusByteCount else { throw .value("status") }
            report.status = status
        case 5:
            guard let failure = try field.part(CallFailure.self) else { return }
            // Skipped records of a kind that is not known here are counted all the same.
            guard case .userFunction(let skipped) = failure.taskFault else { return }
            try report.skipped.append(skipped, limit: TaskReport.maxSkippedCount, field: "skipped")
        default: break
        }
    }

    func write(to writer: inout Protobuf.Writer) {
        writer.data(1, receipt)
        writer.data(2, report.log)
        writer.number(3, report.droppedLogByteCount)
        writer.text(4, report.status)
        for failure in report.skipped { writer.part(5, CallFailure(.userFunction(failure))) }
    }
}
