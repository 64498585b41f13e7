/// What a node answers when it cannot do what it was asked.
public struct NodeError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Kinds of error, stable across versions: scripts may compare them.
    public enum Code: String, Sendable, CaseIterable {
        /// The request itself is wrong; the same one will never work.
        case invalidArgument = "invalid_argument"
        /// A CID, path, pin or job is not here.
        case notFound = "not_found"
        /// What a CID names is of another kind than was asked for, such as a directory for a file.
        case wrongKind = "wrong_kind"
        /// A block of a DAG is not here.
        case missingBlock = "missing_block"
        /// Bytes in the store do not match their CID, or are not what they should be.
        case corrupt
        /// What was sent is damaged, such as a CAR.
        case damagedInput = "damaged_input"
        /// A user function does not load: the message is its own error.
        case invalidFunction = "invalid_function"
        /// The policy of the node does not allow it.
        case notAllowed = "not_allowed"
        /// Not possible in the present state: a pinned block, a job that has ended.
        case conflict
        /// The store is at its limit, or the disk is full.
        case full
        /// Over a limit of this node.
        case tooMuch = "too_much"
        /// Another process has the home open.
        case locked
        /// The node is not connected to a network.
        case notConnected = "not_connected"
        /// The daemon does not answer.
        case unreachable
        case timeout
        case cancelled
        /// A job ended in failure.
        case jobFailed = "job_failed"
        /// A file of the user cannot be read or written.
        case file
        /// The database cannot be used: damaged, newer, not accessible.
        case database
        /// A fault of this program.
        case `internal`
    }

    /// Kind of error.
    public var code: Code
    /// One line: what failed, on what, and what to do.
    public var message: String

    /// Makes an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }

    /// The status code that the control API answers with.
    package var httpStatus: Int {
        switch code {
        case .invalidArgument: 400
        case .notAllowed: 403
        case .notFound, .missingBlock: 404
        case .timeout: 408
        case .conflict, .cancelled, .jobFailed, .locked: 409
        case .damagedInput, .wrongKind, .invalidFunction: 422
        case .tooMuch: 429
        case .full: 507
        case .notConnected, .unreachable: 503
        case .corrupt, .file, .database, .internal: 500
        }
    }
}
