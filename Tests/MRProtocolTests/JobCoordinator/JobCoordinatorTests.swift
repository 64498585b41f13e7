import Multiformats
import Testing

@testable import MRProtocol

@Suite("Coordinator")
struct JobCoordinatorTests {
    private let job = JobNumber(1)
    private let here = WorkerID(0)
    private let there = WorkerID(1)

    private func shape(maps: Int, reduces: Int = 1) -> JobShape {
        JobShape(
            maps: Array(repeating: JobShape.Item(), count: maps),
            reduces: Array(repeating: JobShape.Item(), count: reduces)
        )
    }

    /// Two workers of one slot each.
    private func machineOfTwo() -> JobCoordinator {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        _ = machine.workerJoined(there, slots: 1, now: .zero)
        return machine
    }

    private func starts(_ actions: [CoordinatorAction]) -> [Attempt] {
        actions.compactMap { if case .start(let attempt) = $0 { attempt } else { nil } }
    }

    private let transient = TaskFault.store("disk")

    @Test func oneMapOneReduce() {
        var machine = JobCoordinator()
        #expect(machine.workerJoined(here, slots: 1, now: .zero).isEmpty)
        let map = Attempt(
            id: AttemptID(1),
            job: job,
            item: WorkItem(stage: 0, index: 0),
            worker: here,
            number: 1,
            isLocal: false
        )
        let reduce = Attempt(
            id: AttemptID(2),
            job: job,
            item: WorkItem(stage: 1, index: 0),
            worker: here,
            number: 1,
            isLocal: false
        )
        #expect(machine.add(job, shape(maps: 1), now: .zero) == [.start(map)])
        #expect(
            machine.attemptSucceeded(map.id, isRecorded: true, now: .zero) == [.commit(map), .start(reduce)]
        )
        #expect(
            machine.attemptSucceeded(reduce.id, isRecorded: true, now: .zero) == [
                .commit(reduce), .finish(job),
            ]
        )
        #expect(machine.finished(job, now: .zero) == [.end(job, .succeeded)])
    }

    @Test func attemptsGoOnlyToWorkersThatHaveTheEngine() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        _ = machine.workerJoined(there, slots: 1, engines: ["built-in"], now: .zero)
        var shape = shape(maps: 8)
        shape.engine = "functions"
        #expect(Set(starts(machine.add(job, shape, now: .zero)).map(\.worker)) == [here])
        // It learned another.
        let engines: Set = ["built-in", "functions"]
        let more = starts(machine.workerJoined(there, slots: 1, engines: engines, now: .zero))
        #expect(Set(more.map(\.worker)) == [there])
    }

    @Test(
        arguments: [
            (FunctionFailure.Kind.invalid, 1), (.threw, 2), (.wrongOutput, 2), (.limit, 2), (.crashed, 4),
            (.sandbox, 1),
        ]
    )
    func functionThatFailsIsTriedAsOftenAsThatCanHelp(kind: FunctionFailure.Kind, attempts: Int) {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        var started = starts(machine.add(job, shape(maps: 1), now: .zero))
        let fault = TaskFault.userFunction(
            FunctionFailure(kind, function: "f.js", role: "map", message: "no")
        )
        var count = 0
        var now = Duration.zero
        while let attempt = started.first {
            count += 1
            let actions = machine.attemptFailed(attempt.id, fault, randomness: 0, now: now)
            if actions.contains(.end(job, .failed(attempt, reason: .fault(fault)))) { break }
            now += .seconds(60)
            started = starts(actions + machine.deadlineReached(now: now))
        }
        #expect(count == attempts)
    }

    @Test func aPassedLimitIsTriedOnceMoreAndElsewhere() {
        var machine = machineOfTwo()
        let fault = TaskFault.userFunction(
            FunctionFailure(.limit, function: "f.js", role: "map", message: "no")
        )
        guard let first = starts(machine.add(job, shape(maps: 1), now: .zero)).first else {
            return #expect(Bool(false), "no attempt")
        }
        _ = machine.attemptFailed(first.id, fault, randomness: 0, now: .zero)
        let second = starts(machine.deadlineReached(now: .seconds(1)))
        #expect(second.count == 1)
        #expect(second.first?.worker != first.worker)
    }

    @Test func aJobThatIsTriedOnceEndsWithItsFirstFailure() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        var shape = shape(maps: 1)
        shape.maxAttempts = 1
        let started = starts(machine.add(job, shape, now: .zero))
        #expect(
            machine.attemptFailed(started[0].id, transient, randomness: 0, now: .zero)
                == [.end(job, .failed(started[0], reason: .fault(transient)))]
        )
    }

    @Test func everythingRememberedOnlyFinishes() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        let shape = JobShape(maps: [.init(), .init()], reduces: [.init(isDone: true)])
        #expect(machine.add(job, shape, now: .zero) == [.finish(job)])
    }

    @Test func workersGetTwoAttemptsASlotAndHoldersComeFirst() {
        var machine = machineOfTwo()
        let maps = (0..<8).map { JobShape.Item(holders: [$0 < 4 ? there : here]) }
        let given = starts(machine.add(job, JobShape(maps: maps, reduces: [.init()]), now: .zero))
        #expect(given.count == 4)
        #expect(!given.contains { !$0.isLocal })
        #expect(Set(given.filter { $0.worker == here }.map(\.item.index)) == [4, 5])
    }

    @Test func largestItemsGoFirst() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 2, now: .zero)
        let maps = [3, 9, 1, 9].map { JobShape.Item(weight: $0) }
        let given = starts(machine.add(job, JobShape(maps: maps, reduces: [.init()]), now: .zero))
        #expect(given.map(\.item.index) == [1, 3, 0, 2])
    }

    @Test func aRefusalIsNoFailureAndTheItemGoesElsewhere() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(there, slots: 1, now: .zero)
        let given = starts(machine.add(job, shape(maps: 3), now: .zero))
        #expect(given.map(\.worker) == [there, there])
        let taken = starts(machine.workerJoined(here, slots: 2, now: .zero))
        #expect(taken.map(\.item.index) == [2])
        let moved = starts(machine.attemptRefused(given[0].id, now: .zero))
        #expect(moved.map(\.worker) == [here])
        #expect(moved.map(\.item) == [given[0].item])
        // The other attempt that was under way there may still end well, or be refused too.
        let last = starts(machine.attemptRefused(given[1].id, now: .zero))
        #expect(last.map(\.worker) == [here])
        #expect(!machine.isExcluded(there, from: job))
    }

    @Test func aWorkerThatRefusedGetsNothingMoreOfTheJobButOfOthers() {
        var machine = machineOfTwo()
        let given = starts(machine.add(job, shape(maps: 8), now: .zero))
        let refused = given.filter { $0.worker == there }
        for attempt in refused { _ = machine.attemptRefused(attempt.id, now: .zero) }
        for attempt in given where attempt.worker == here {
            let next = starts(machine.attemptSucceeded(attempt.id, isRecorded: true, now: .zero))
            #expect(next.allSatisfy { $0.worker == here })
        }
        let other = starts(machine.add(JobNumber(2), shape(maps: 2), now: .zero))
        #expect(other.contains { $0.worker == there })
    }

    @Test func whenEveryWorkerRefusesTheJobEnds() {
        var machine = machineOfTwo()
        let given = starts(machine.add(job, shape(maps: 2), now: .zero))
        #expect(given.map(\.worker) == [here, there])
        let moved = starts(machine.attemptRefused(given[0].id, now: .zero))
        #expect(moved.map(\.worker) == [there])
        let end = machine.attemptRefused(given[1].id, now: .zero)
        #expect(end == [.stop(moved[0]), .end(job, .failed(given[1], reason: .refusedByAll))])
    }

    @Test func aRefusingWorkerIsNoHopeForAnItemThatOthersFailed() {
        var machine = machineOfTwo()
        let given = starts(machine.add(job, shape(maps: 2), now: .zero))
        _ = machine.attemptRefused(given[1].id, now: .zero)
        let gone = TaskFault.blockUnavailable(CID.of([1], codec: .raw), file: "a", offset: 0, reason: "gone")
        let end = machine.attemptFailed(given[0].id, gone, randomness: 0, now: .zero)
        #expect(end.last == .end(job, .failed(given[0], reason: .fault(gone))))
    }

    @Test func aBusyWorkerFailsNothingAndGetsNothingOfTheJobForAWhile() throws {
        var machine = machineOfTwo()
        let given = starts(machine.add(job, shape(maps: 9), now: .zero))
        let busy = given.filter { $0.worker == there }
        #expect(busy.count == 2)
        for attempt in busy { #expect(machine.attemptBusy(attempt.id, now: .zero).isEmpty) }
        #expect(machine.nextDeadline(after: .zero) == .seconds(1), "two at a time count once")
        #expect(machine.deadlineReached(now: .milliseconds(999)).isEmpty)
        #expect(starts(machine.deadlineReached(now: .seconds(1))).map(\.worker) == [there, there])
        #expect(!machine.isExcluded(there, from: job))
    }

    @Test func itsItemsGoToOthersMeanwhileAndItToOtherJobs() throws {
        var machine = machineOfTwo()
        let given = starts(machine.add(job, shape(maps: 4), now: .zero))
        for attempt in given where attempt.worker == there { _ = machine.attemptBusy(attempt.id, now: .zero) }
        for attempt in given where attempt.worker == here {
            let next = starts(machine.attemptSucceeded(attempt.id, isRecorded: true, now: .zero))
            #expect(next.map(\.worker) == [here])
        }
        #expect(starts(machine.add(JobNumber(2), shape(maps: 1), now: .zero)).map(\.worker) == [there])
    }

    @Test func theRestOfABusyWorkerDoublesUntilItDoesSomething() throws {
        var machine = JobCoordinator()
        _ = machine.workerJoined(there, slots: 1, now: .zero)
        var attempt = try #require(starts(machine.add(job, shape(maps: 1), now: .zero)).first)
        var now = Duration.zero
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            #expect(machine.attemptBusy(attempt.id, now: now).isEmpty)
            let deadline = try #require(machine.nextDeadline(after: now), "it would wait for ever")
            #expect(deadline - now == .seconds(seconds))
            now = deadline
            attempt = try #require(starts(machine.deadlineReached(now: now)).first)
        }
        let reduce = starts(machine.attemptSucceeded(attempt.id, isRecorded: true, now: now))[0]
        _ = machine.attemptBusy(reduce.id, now: now)
        #expect(machine.nextDeadline(after: now) == now + .seconds(1))
    }

    @Test func aFailedItemIsNotKeptForAWorkerThatIsAlwaysBusy() throws {
        var machine = machineOfTwo()
        let given = starts(machine.add(job, shape(maps: 2), now: .zero))
        #expect(given.map(\.worker) == [here, there])
        #expect(machine.attemptFailed(given[0].id, transient, randomness: 0, now: .zero).isEmpty)
        #expect(starts(machine.attemptBusy(given[1].id, now: .zero)).map(\.item) == [given[1].item])
        var now = Duration.zero
        var begun: [Attempt] = []
        while now < .seconds(60), begun.isEmpty {
            now = try #require(machine.nextDeadline(after: now))
            for attempt in starts(machine.deadlineReached(now: now)) {
                #expect(attempt.worker == there, "it waits for the one that has not tried it")
                begun = starts(machine.attemptBusy(attempt.id, now: now))
            }
        }
        #expect(begun.map(\.item) == [given[0].item])
        #expect(begun.map(\.worker) == [here])
    }

    @Test func whoeverFailedGoesOnWhenTheOthersAreAlwaysBusy() throws {
        var machine = machineOfTwo()
        var now = Duration.zero
        var busy = starts(machine.add(job, shape(maps: 12), now: now)).filter { $0.worker == there }
        for _ in 1...3 {
            let failing = try #require(machine.running(on: here).first)
            _ = machine.attemptFailed(failing, transient, randomness: 0, now: now)
        }
        #expect(machine.isExcluded(here, from: job))
        var begun: [Attempt] = []
        while now < .seconds(60), !begun.contains(where: { $0.worker == here }) {
            for attempt in busy { begun += starts(machine.attemptBusy(attempt.id, now: now)) }
            now = try #require(machine.nextDeadline(after: now))
            busy = starts(machine.deadlineReached(now: now))
        }
        #expect(begun.contains { $0.worker == here })
        #expect(!machine.isExcluded(here, from: job))
    }

    @Test func aWorkerWhoseOutputsWereWrongDoesNotGoOnWhileTheOthersAreBusy() throws {
        var machine = machineOfTwo()
        var now = Duration.zero
        var honest = starts(machine.add(job, shape(maps: 12), now: now)).filter { $0.worker == here }
        for _ in 1...3 { honest += starts(machine.blame(there, in: job, now: now)) }
        for _ in 1...9 {
            for attempt in honest { #expect(machine.attemptBusy(attempt.id, now: now).isEmpty) }
            now = try #require(machine.nextDeadline(after: now))
            honest = starts(machine.deadlineReached(now: now))
            #expect(!honest.isEmpty)
            #expect(honest.allSatisfy { $0.worker == here })
        }
        #expect(machine.isExcluded(there, from: job))
    }

    @Test func fourthFailureEndsTheJobWithThatAttempt() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        var now = Duration.zero
        var actions = machine.add(job, shape(maps: 1), now: now)
        for number in 1...4 {
            let attempt = starts(actions)[0]
            #expect(attempt.number == number)
            actions = machine.attemptFailed(attempt.id, transient, randomness: 0, now: now)
            if number == 4 {
                #expect(actions == [.end(job, .failed(attempt, reason: .fault(transient)))])
                return
            }
            #expect(actions.isEmpty)
            guard let deadline = machine.nextDeadline(after: now) else {
                return #expect(Bool(false), "no deadline")
            }
            now = deadline
            actions = machine.deadlineReached(now: now)
        }
    }

    @Test(arguments: [
        (UInt64(0), [50, 100, 200]), (UInt64.max, [100, 200, 400]),
    ])
    func backoffDoublesBetweenHalfAndWhole(randomness: UInt64, milliseconds: [Int]) {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        var now = Duration.zero
        var actions = machine.add(job, shape(maps: 1), now: now)
        for expected in milliseconds {
            _ = machine.attemptFailed(starts(actions)[0].id, transient, randomness: randomness, now: now)
            let wait = (machine.nextDeadline(after: now) ?? .zero) - now
            #expect(abs(wait / .milliseconds(1) - Double(expected)) < 0.01)
            now += wait
            actions = machine.deadlineReached(now: now)
        }
    }

    @Test(arguments: [
        TaskFault.recordTooLong(file: "a", offset: 1, limit: 2), .argument(name: "n", reason: ""),
        .malformedValue(key: [1], reason: ""), .malformedInput(file: "a", offset: 0, reason: ""),
        .function(name: "grep", file: "a", offset: 0, reason: ""),
        .blockUnavailable(CID.of([1], codec: .raw), file: "a", offset: 0, reason: ""),
    ])
    func whatCannotChangeFailsAtOnce(fault: TaskFault) {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        let attempt = starts(machine.add(job, shape(maps: 1), now: .zero))[0]
        #expect(
            machine.attemptFailed(attempt.id, fault, randomness: 0, now: .zero)
                == [.end(job, .failed(attempt, reason: .fault(fault)))]
        )
    }

    @Test func blockMissingOnOneWorkerIsTriedOnTheOther() {
        var machine = machineOfTwo()
        let fault = TaskFault.blockUnavailable(CID.of([1], codec: .raw), file: "a", offset: 0, reason: "")
        let first = starts(machine.add(job, shape(maps: 1), now: .zero))[0]
        #expect(machine.attemptFailed(first.id, fault, randomness: 0, now: .zero).isEmpty)
        let second = starts(machine.deadlineReached(now: .seconds(1)))[0]
        #expect(second.worker != first.worker)
        #expect(
            machine.attemptFailed(second.id, fault, randomness: 0, now: .seconds(1))
                == [.end(job, .failed(second, reason: .fault(fault)))]
        )
    }

    @Test func lostWorkerGivesBackAttemptsAndOutputs() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(there, slots: 1, now: .zero)
        let given = starts(machine.add(job, shape(maps: 2), now: .zero))
        _ = machine.attemptSucceeded(given[0].id, isRecorded: false, now: .zero)
        #expect(machine.workerLost(there, now: .zero) == [.withdraw(job, given[0].item)])
        let again = starts(machine.workerJoined(here, slots: 1, now: .zero))
        #expect(Set(again.map(\.item.index)) == [0, 1])
    }

    @Test func lossesExcludeNobodyHoweverManyAttemptsWereUnderWay() throws {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        var now = Duration.zero
        _ = machine.add(job, shape(maps: 40), now: now)
        for _ in 1...9 {
            var given = starts(machine.workerJoined(there, slots: 2, now: now))
            if given.isEmpty {
                now = try #require(machine.nextDeadline(after: now))
                given = starts(machine.deadlineReached(now: now))
            }
            #expect(given.map(\.worker) == Array(repeating: there, count: 4))
            #expect(machine.workerLost(there, now: now).isEmpty)
            #expect(!machine.isExcluded(there, from: job))
        }
        let failures = machine.jobs[job]?.stages[0].items.map(\.failureCount)
        #expect(failures == Array(repeating: 0, count: 40), "nor do they use up what an item may fail")
    }

    @Test func aWorkerThatIsLostAgainAndAgainIsGivenLessAndLess() throws {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        var now = Duration.zero
        _ = machine.add(job, shape(maps: 40), now: now)
        var given = starts(machine.workerJoined(there, slots: 2, now: now))
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            // What it does meanwhile does not make it steadier.
            _ = machine.attemptSucceeded(given[0].id, isRecorded: true, now: now)
            _ = machine.workerLost(there, now: now)
            #expect(machine.workerJoined(there, slots: 2, now: now).isEmpty)
            #expect(machine.nextDeadline(after: now) == now + .seconds(seconds))
            now += .seconds(seconds)
            given = starts(machine.deadlineReached(now: now))
            #expect(given.map(\.worker) == Array(repeating: there, count: 4))
        }
    }

    @Test func whoIsLostWithoutAnythingOfTheJobLosesNothingInIt() {
        var machine = machineOfTwo()
        var shape = shape(maps: 12)
        shape.stages[0].onlyWorker = here
        _ = machine.add(job, shape, now: .zero)
        _ = machine.workerLost(there, now: .zero)
        _ = machine.workerJoined(there, slots: 1, now: .zero)
        #expect(starts(machine.openStage(0, of: job, now: .zero)).map(\.worker) == [there, there])
    }

    @Test func recordedOutputsSurviveTheirWorker() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(there, slots: 1, now: .zero)
        let given = starts(machine.add(job, shape(maps: 2), now: .zero))
        _ = machine.attemptSucceeded(given[0].id, isRecorded: true, now: .zero)
        #expect(machine.workerLost(there, now: .zero).isEmpty)
        #expect(starts(machine.workerJoined(here, slots: 1, now: .zero)).map(\.item) == [given[1].item])
    }

    @Test func aStageOfOneWorkerIsNotSharedUntilItIsOpened() {
        var machine = machineOfTwo()
        var shape = shape(maps: 1, reduces: 6)
        shape.stages[1].onlyWorker = here
        let map = starts(machine.add(job, shape, now: .zero))[0]
        let confined = starts(machine.attemptSucceeded(map.id, isRecorded: true, now: .zero))
        #expect(confined.map(\.worker) == [here], "no more than run at once: the rest may go to others yet")
        #expect(starts(machine.openStage(1, of: job, now: .zero)).map(\.worker) == [here, there, there])
        #expect(machine.openStage(1, of: job, now: .zero).isEmpty)
    }

    @Test func aStageOfAWorkerThatIsGoneIsAnyones() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(there, slots: 1, now: .zero)
        var shape = shape(maps: 1)
        shape.stages[0].onlyWorker = here
        #expect(starts(machine.add(job, shape, now: .zero)).map(\.worker) == [there])
    }

    @Test func whatFailsInAStageOfOneWorkerIsTriedThereAgain() throws {
        var machine = machineOfTwo()
        var shape = shape(maps: 1)
        shape.stages[0].onlyWorker = here
        var attempt = try #require(starts(machine.add(job, shape, now: .zero)).first)
        for number in 2...4 {
            let fault = TaskFault.store("full")
            _ = machine.attemptFailed(attempt.id, fault, randomness: 0, now: .zero)
            let again = starts(machine.deadlineReached(now: .seconds(60)))
            #expect(again.map(\.worker) == [here])
            attempt = try #require(again.first)
            #expect(attempt.number == number)
        }
    }

    @Test func whatOneWorkerCannotDoIsTriedByOthers() throws {
        var machine = machineOfTwo()
        var shape = shape(maps: 1)
        shape.stages[0].onlyWorker = here
        let attempt = try #require(starts(machine.add(job, shape, now: .zero)).first)
        let gone = TaskFault.blockUnavailable(CID.of([1], codec: .raw), file: "a", offset: 0, reason: "gone")
        _ = machine.attemptFailed(attempt.id, gone, randomness: 0, now: .zero)
        #expect(starts(machine.deadlineReached(now: .seconds(60))).map(\.worker) == [there])
    }

    @Test func aMergeThatFailedHereIsNotGivenAway() throws {
        var machine = machineOfTwo()
        var shape = JobShape(maps: [JobShape.Item(weight: 1, isDone: true)], reduces: [JobShape.Item()])
        shape.stages.insert(.init(items: [.init()], inputs: .batches(of: 64)), at: 1)
        for stage in 1...2 { shape.stages[stage].onlyWorker = here }
        let merge = try #require(starts(machine.add(job, shape, now: .zero)).first)
        #expect(merge.item.stage == 1)
        let fault = TaskFault.userFunction(
            FunctionFailure(.sandbox, function: "f.js", role: "combine", message: "no process")
        )
        _ = machine.attemptFailed(merge.id, fault, randomness: 0, now: .zero)
        #expect(starts(machine.deadlineReached(now: .seconds(60))).map(\.worker) == [here])
    }

    @Test func oneBlameTakesNothingFromAWorkerWhileAStageIsKeptHere() throws {
        var machine = machineOfTwo()
        var shape = shape(maps: 4)
        shape.stages[1].onlyWorker = here
        for map in starts(machine.add(job, shape, now: .zero)) {
            _ = machine.attemptSucceeded(map.id, isRecorded: map.worker == here, now: .zero)
        }
        for _ in 1...2 { #expect(machine.blame(there, in: job, now: .zero).isEmpty) }
        #expect(!machine.blame(there, in: job, now: .zero).isEmpty)
    }

    @Test func aWorkerBlamedThreeTimesGoesOnWhenNobodyElseIsThere() throws {
        var machine = JobCoordinator()
        _ = machine.workerJoined(there, slots: 1, now: .zero)
        let given = starts(machine.add(job, shape(maps: 2), now: .zero))
        _ = machine.attemptSucceeded(given[0].id, isRecorded: false, now: .zero)
        for _ in 1...4 { #expect(machine.blame(there, in: job, now: .zero).isEmpty) }
        #expect(machine.isRunning(given[1].id))
    }

    @Test func aWorkerBlamedThreeTimesGetsNoMoreOfTheJob() {
        var machine = machineOfTwo()
        let given = starts(machine.add(job, shape(maps: 12), now: .zero)).filter { $0.worker == there }
        #expect(machine.blame(there, in: job, now: .zero).isEmpty)
        #expect(machine.blame(there, in: job, now: .zero).isEmpty)
        #expect(!machine.isExcluded(there, from: job))
        #expect(machine.blame(there, in: job, now: .zero) == given.map { .stop($0) })
        #expect(machine.isExcluded(there, from: job))
        #expect(machine.attemptSucceeded(given[0].id, isRecorded: true, now: .zero).isEmpty)
    }

    @Test func whoeverIsExcludedIsNamedWhileAnotherCanGoOn() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(there, slots: 1, now: .zero)
        _ = machine.add(job, shape(maps: 12), now: .zero)
        for _ in 1...3 { _ = machine.blame(there, in: job, now: .zero) }
        #expect(machine.excludedWorkers(from: job).isEmpty, "nobody else is there")
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        #expect(machine.excludedWorkers(from: job) == [there])
        _ = machine.workerLost(here, now: .zero)
        #expect(machine.excludedWorkers(from: job).isEmpty)
        #expect(machine.excludedWorkers(from: JobNumber(2)).isEmpty)
    }

    @Test func aWorkerBlamedThreeTimesLosesWhatOnlyItHas() throws {
        var machine = machineOfTwo()
        let given = starts(machine.add(job, shape(maps: 4), now: .zero))
        let mine = try #require(given.first { $0.worker == here })
        let theirs = given.filter { $0.worker == there }
        try #require(theirs.count == 2)
        _ = machine.attemptSucceeded(theirs[0].id, isRecorded: false, now: .zero)
        _ = machine.attemptSucceeded(theirs[1].id, isRecorded: true, now: .zero)
        for _ in 1...2 { _ = machine.blame(there, in: job, now: .zero) }
        #expect(machine.blame(there, in: job, now: .zero) == [.withdraw(job, theirs[0].item)])
        let next = starts(machine.attemptSucceeded(mine.id, isRecorded: true, now: .zero))
        #expect(next.map(\.item) == [theirs[0].item])
        #expect(next.map(\.worker) == [here])
    }

    @Test func reduceThatCannotReadAMapMakesItAgain() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        let map = starts(machine.add(job, shape(maps: 1), now: .zero))[0]
        let reduce = starts(machine.attemptSucceeded(map.id, isRecorded: true, now: .zero))[0]
        let fault = TaskFault.malformedMapOutput(runIndex: 0, reason: "")
        let actions = machine.attemptFailed(reduce.id, fault, lostInputs: [0], randomness: 0, now: .zero)
        #expect(actions.first == .withdraw(job, map.item))
        #expect(starts(actions).map(\.item) == [map.item])
    }

    @Test func anAttemptGivenBackIsGivenOutAgainAndCountsAsNoFailure() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        var map = starts(machine.add(job, shape(maps: 1), now: .zero))[0]
        for number in 2...10 {
            let again = starts(machine.attemptReturned(map.id, now: .zero))
            #expect(again.map(\.item) == [map.item])
            #expect(again[0].number == number)
            #expect(machine.attemptReturned(map.id, now: .zero).isEmpty)
            map = again[0]
        }
        #expect(!machine.isExcluded(here, from: job))
    }

    @Test func outputLostAgainAndAgainEndsTheJob() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        var map = starts(machine.add(job, shape(maps: 1), now: .zero))[0]
        let fault = TaskFault.malformedMapOutput(runIndex: 0, reason: "")
        for loss in 1...5 {
            let reduce = starts(machine.attemptSucceeded(map.id, isRecorded: true, now: .zero))[0]
            let actions = machine.attemptFailed(reduce.id, fault, lostInputs: [0], randomness: 0, now: .zero)
            guard loss == 5 else {
                map = starts(actions)[0]
                continue
            }
            #expect(actions == [.end(job, .failed(reduce, reason: .outputLostTooOften(map.item)))])
        }
    }

    @Test func jobsShareSlots() {
        var machine = JobCoordinator()
        let other = JobNumber(2)
        _ = machine.workerJoined(here, slots: 2, now: .zero)
        let first = starts(machine.add(job, shape(maps: 100), now: .zero))
        _ = machine.add(other, shape(maps: 100), now: .zero)
        var counts: [JobNumber: Int] = [:]
        var queue = first
        for _ in 0..<60 {
            let attempt = queue.removeFirst()
            let next = starts(machine.attemptSucceeded(attempt.id, isRecorded: true, now: .zero))
            for attempt in next { counts[attempt.job, default: 0] += 1 }
            queue += next
        }
        #expect(abs(counts[job, default: 0] - counts[other, default: 0]) <= 4, "\(counts)")
    }

    @Test func cancelStopsWhatRunsAndLateResultsAreDropped() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(here, slots: 1, now: .zero)
        let given = starts(machine.add(job, shape(maps: 2), now: .zero))
        #expect(machine.cancel(job, now: .zero) == given.map { .stop($0) } + [.end(job, .cancelled)])
        #expect(machine.attemptSucceeded(given[0].id, isRecorded: true, now: .zero) == [.discard(given[0])])
        #expect(machine.cancel(job, now: .zero).isEmpty)
    }

    @Test func manyRunsAreMergedBeforeTheReduce() {
        let shape = JobShape(maps: Array(repeating: .init(), count: 513), reduces: [.init()])
        #expect(shape.stages.map(\.items.count) == [513, 9, 1])
    }
}

extension JobCoordinator {
    /// Attempts that a worker has, in the order in which it was given them.
    fileprivate func running(on worker: WorkerID) -> [AttemptID] {
        attempts.values.filter { $0.worker == worker }.map(\.id).sorted()
    }
}
