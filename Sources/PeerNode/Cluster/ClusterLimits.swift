/// Bounds of jobs that run on several nodes.
package enum ClusterLimits {
    /// Workers that a master uses at once.
    package static let maxWorkers = 256
    /// Jobs of other masters that a worker serves at once.
    package static let maxHostedJobs = 64
    /// Jobs of one master that a worker serves at once.
    package static let maxHostedJobsPerMaster = 32
    /// Attempts of one master that wait or run on a worker, for each slot of the worker.
    package static let maxAttemptsPerSlotAndMaster = 8
    /// Leaves of one map attempt; groups have at most 1,024.
    package static let maxLeavesPerAttempt = 4_096
    /// How long a worker keeps the runs of a job in which it gets no task, before it asks the master whether they are wanted.
    package static let idleJobLimit = Duration.seconds(300)
    /// How often a worker looks for such jobs.
    package static let idleCheckInterval = Duration.seconds(15)
    /// How long nothing may arrive while the inputs of an attempt are fetched.
    package static let inputPatience = Duration.seconds(15)
    /// How long a master waits for the answers of all workers to `Have`; who is later counts as holding nothing.
    package static let haveTimeout = Duration.seconds(3)
    /// Jobs of fewer input bytes, all of them here, stay on the master: sending them away costs more than running them.
    package static let localJobByteCount: UInt64 = 4 << 20
    /// Run files of a job that the master copies to itself as they are made; up to that many bytes it also reduces by itself.
    package static let smallShuffleByteCount: UInt64 = 32 << 20
    /// Run files whose needed parts are fetched at once for one attempt.
    package static let parallelRunFetches = 16
    /// How often a master greets connected peers that do not work for it yet.
    package static let greetInterval = Duration.seconds(5)
    /// Rounds of greetings after which workers are greeted again too: what they offer may have changed.
    package static let workerGreetRounds = 3
    /// Greetings at a time.
    package static let maxGreetings = 16
}
