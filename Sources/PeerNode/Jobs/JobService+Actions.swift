import BlockStore
import Engines
import MRProtocol
import Multiformats

// What the coordinator asks for, and who does it.

extension JobService {
    func apply(_ actions: [CoordinatorAction]) {
        guard !isStopping else { return }
        for action in actions {
            switch action {
            case .start(let attempt): start(attempt)
            case .stop(let attempt): stop(attempt)
            case .commit(let attempt): commit(attempt)
            case .discard(let attempt): discard(attempt)
            case .withdraw(let number, let item): withdraw(item, of: number)
            case .finish(let number):
                active[number]?.enter(.finish, now: now)
                queue.put(.finish(number))
            case .end(let number, let outcome): if let job = active[number] { end(job, outcome) }
            }
        }
        for job in active.values where !job.isEnding { showExclusions(from: job) }
        scheduleWake()
    }

    func perform(_ work: Work) async {
        switch work {
        case .plan(let number): await plan(number)
        case .finish(let number): await finish(number)
        case .end(let number, let key): await conclude(number, resultKey: key)
        case .remember(let number): await remember(number)
        case .forget(let keys): await storage.forget(keys)
        case .wake(let time): await wake(at: time)
        case .tick: await tick()
        case .serve(let slot): await serve(slot)
        case .fetchInputs(let attempt): await fetchInputs(attempt)
        case .sendAway(let attempt): await sendAway(attempt)
        case .closeLease(let lease): await storage.close(lease)
        case .cancelRemote(let attempt, let worker): await cancel(attempt, on: worker)
        case .endRemote(let job, let worker): await release(job, on: worker)
        }
    }

    /// Executes attempts on the slot's thread until there are none.
    nonisolated func serve(_ slot: Slot) async {
        var last: AttemptRequest?
        while let request = pool.next(for: slot, after: last) {
            last = request
            let result = slot.execute(request)
            if let ended = request.ended {
                ended(result)
            } else {
                await attemptEnded(request.attempt.id, result)
            }
        }
    }
}
