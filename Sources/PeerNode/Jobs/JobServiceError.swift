/// Why a call of `JobService` failed.
public struct JobServiceError: Error, Sendable, CustomStringConvertible {
    /// Kinds of error; a client switches over it.
    public enum Code: String, Sendable {
        /// The specification is wrong: unknown function, argument, number of reduces.
        case invalidJob
        /// A function of the user's own is not fit: it does not compile, or lacks what the job needs.
        case invalidFunction
        /// The policy of this node does not let its user run the job.
        case notAllowed
        /// There is no job with that id.
        case unknownJob
        /// The job has ended; it cannot be cancelled any more.
        case jobEnded
        /// Too many jobs are waiting or running.
        case tooManyJobs
        /// `jobs.db` cannot be read or written.
        case database
        /// The service is shutting down.
        case stopped
    }

    /// Kind of error.
    public var code: Code
    /// What failed, on what, and what to do.
    public var message: String

    /// Makes an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
