import MRProtocol

extension JobService {
    /// What fetches wait for, by lease; of each lease the fetch that has waited longest.
    func waits() async -> [ObjectIdentifier: FetchWait] {
        guard let cluster else { return [:] }
        return Dictionary(
            await cluster.exchange.waits().map { (ObjectIdentifier($0.ingest), $0.wait) },
            uniquingKeysWith: { $0.waited < $1.waited ? $1 : $0 }
        )
    }

    /// The status to show: with bytes read by running attempts, the current phase's time, a guess at the rest, and what the
    /// job waits for.
    func snapshot(of job: ActiveJob, _ waits: [ObjectIdentifier: FetchWait] = [:]) -> JobStatus {
        var status = job.status
        guard !status.state.isFinal, status.state != .queued else { return status }
        let lease = job.planned?.execution.ingest ?? job.planLease
        status.wait = lease.flatMap { waits[ObjectIdentifier($0)] }.map(BlockWait.init)
        let elapsed = (now - job.phaseStart) / .seconds(1)
        if let index = status.timings.firstIndex(where: { $0.phase == status.phase }) {
            status.timings[index].seconds += elapsed
        } else {
            status.timings.append(PhaseTiming(phase: status.phase, seconds: elapsed))
        }
        guard let planned = job.planned else { return status }
        let bytesRead = UInt64(max(0, planned.execution.bytesRead))
        status.mappedByteCount = min(status.inputByteCount, max(status.mappedByteCount, bytesRead))
        status.reducedByteCount = min(
            status.reduceInputByteCount,
            status.reducedByteCount.addingClamped(runningReduceByteCount(of: job))
        )
        status.secondsLeft = JobService.secondsLeft(status, bytesRead: bytesRead)
        return status
    }

    /// Run bytes that reduces have read which are not done.
    private func runningReduceByteCount(of job: ActiveJob) -> UInt64 {
        let attempts = running.values.filter { request in
            let item = request.attempt.item
            return request.attempt.job == job.number && item.stage == job.outputs.count - 1
                && job.outputs[item.stage][item.index] == nil
        }
        return JobService.furthest(attempts.map { ($0.attempt.item.index, $0.reduced.byteCount) })
    }

    /// What attempts have read together, where of several at one partition the furthest counts.
    static func furthest(_ attempts: [(partition: Int, byteCount: UInt64)]) -> UInt64 {
        Dictionary(attempts.map { ($0.partition, $0.byteCount) }, uniquingKeysWith: max)
            .values.reduce(0) { $0.addingClamped($1) }
    }

    /// Shortest time of a phase that tells its pace, in seconds.
    static let minPaceSeconds = 0.2

    /// From the pace of the current phase; reduces are taken for a quarter of the maps' time until they run.
    static func secondsLeft(_ status: JobStatus, bytesRead: UInt64) -> Double? {
        let elapsed = status.timings.last { $0.phase == status.phase }?.seconds ?? 0
        switch status.phase {
        case .map:
            guard bytesRead > 0, elapsed > minPaceSeconds else { return nil }
            let rest = Double(status.inputByteCount - status.mappedByteCount)
            return (rest * 1.25 + 0.25 * Double(bytesRead)) * elapsed / Double(bytesRead)
        case .reduce:
            let worked = status.reducedFraction - status.rememberedFraction
            guard worked > 0, elapsed > minPaceSeconds else { return nil }
            return (1 - status.reducedFraction) * elapsed / worked
        default: return nil
        }
    }
}
