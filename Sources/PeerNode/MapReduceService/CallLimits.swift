/// Bounds of calls over `/mapreduce/1`, beside those of its messages.
package enum CallLimits {
    /// Calls of one peer that are served at a time.
    package static let maxCallsPerPeer = 256
    /// Calls of all peers that are served at a time.
    package static let maxCalls = 4096
    /// Bytes of requests of all peers that are not whole yet; above it further long ones are turned away.
    package static let maxPartialByteCount = 64 << 20
    /// What each request may hold beside that, in bytes.
    package static let smallRequestByteCount = 64 << 10
    /// How long a request may take to arrive.
    package static let requestTimeout: Duration = .seconds(15)
    /// How long the answer to a short call may take, opening the stream included.
    package static let answerTimeout: Duration = .seconds(10)
    /// How often a worker says how far a task is, also when nothing has changed.
    package static let progressInterval: Duration = .seconds(1)
    /// Silence after which a task is given up: several progress messages are missing then.
    package static let silenceTimeout: Duration = .seconds(15)
    /// How long a message may take to be written.
    package static let writeTimeout: Duration = .seconds(30)
}
