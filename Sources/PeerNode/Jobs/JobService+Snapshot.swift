import MRProtocol

extension JobService {
    /// The status to show: with bytes read by running attempts, the current phase's time and a guess at the rest.
    func snapshot(of job: ActiveJob) -> JobStatus {
        var status = job.status
        guard !status.state.isFinal, status.state != .queued else { return status }
        let elapsed = (now - job.phaseStart) / .seconds(1)
        if let index = status.timings.firstIndex(where: { $0.phase == status.phase }) {
            status.timings[index].seconds += elapsed
        } else {
            status.timings.append(PhaseTiming(phase: status.phase, seconds: elapsed))
        }
        guard let planned = job.planned else { return status }
        let bytesRead = UInt64(max(0, planned.execution.bytesRead))
        status.mappedByteCount = min(status.inputByteCount, max(status.mappedByteCount, bytesRead))
        status.secondsLeft = JobService.secondsLeft(status, bytesRead: bytesRead)
        return status
    }

    /// From the pace of the current phase; reduces are taken for a quarter of the maps' time until they run.
    private static func secondsLeft(_ status: JobStatus, bytesRead: UInt64) -> Double? {
        let elapsed = status.timings.last { $0.phase == status.phase }?.seconds ?? 0
        switch status.phase {
        case .map:
            guard bytesRead > 0, elapsed > 0.2 else { return nil }
            let rest = Double(status.inputByteCount - status.mappedByteCount)
            return (rest * 1.25 + 0.25 * Double(bytesRead)) * elapsed / Double(bytesRead)
        case .reduce:
            guard status.reduce.executed > 0 else { return nil }
            return Double(status.reduce.total - status.reduce.done) * elapsed / Double(status.reduce.executed)
        default: return nil
        }
    }
}
