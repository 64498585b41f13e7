import BlockStore
import Engines
import MRProtocol
import Multiformats

// Outputs that later jobs may use are written down beside the work.

extension JobService {
    func enqueue(_ candidate: MemoryCandidate, of job: ActiveJob) {
        guard configuration.databasePath != nil else { return }
        job.memories.append(candidate)
        if !job.isRemembering {
            job.isRemembering = true
            queue.put(.remember(job.number))
        }
    }

    func remember(_ number: JobNumber) async {
        guard let job = active[number] else { return }
        await remember(number, job)
    }

    /// Stores what has gathered, as often as something has; releases the job's lease behind the last when it has ended.
    func remember(_ number: JobNumber, _ job: ActiveJob) async {
        guard let execution = job.planned?.execution else { return }
        while !job.memories.isEmpty {
            let batch = job.memories
            job.memories = []
            if job.functions != nil {
                for item in await storage.differing(batch) { noteDifference(item, in: job) }
            }
            let kept = batch.filter { !$0.isForComparison }
            if kept.isEmpty { continue }
            job.hasRememberedPins = true
            if let complaint = await storage.remember(kept, execution) {
                job.note(complaint, time: WallClock.milliseconds)
            }
        }
        job.isRemembering = false
        guard job.isEnding, active[number] == nil, !job.isReleased else { return }
        job.isReleased = true
        await storage.release(execution)
    }
}
