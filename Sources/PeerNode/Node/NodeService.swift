public import MRProtocol
public import Multiformats

/// Takes bytes in order; may block its thread, and throws to stop what produces them.
public typealias ByteSink = @Sendable (UnsafeRawBufferPointer) throws -> Void

/// Everything that a user of a node can ask of it.
///
/// Two conform: `LocalNode` does the work on a home that this process has open, `RemoteNode` asks the daemon that has
/// it open. The daemon answers by calling its `LocalNode`, so a command means the same either way.
///
/// Every call throws `NodeError`.
public protocol NodeService: Sendable {
    // MARK: Adding

    /// Starts an add; what it stores is kept until `finishAdd` or `abandonAdd`.
    ///
    /// With `onlyHash` it computes CIDs and stores nothing.
    func beginAdd(onlyHash: Bool, profile: ImportProfile) async throws -> AddSession
    /// Chunks and stores one file.
    func addFile(_ source: any ByteSource, in session: AddSession) async throws -> AddedNode
    /// Stores a directory of nodes that this session added; entries in any order.
    func addDirectory(_ entries: [NewEntry], in session: AddSession) async throws -> AddedNode
    /// Stores a symbolic link.
    func addSymlink(target: String, in session: AddSession) async throws -> AddedNode
    /// Pins the roots, makes everything durable, and ends the session.
    func finishAdd(_ session: AddSession, pins: [PinInfo]) async throws
    /// Ends the session; what it stored and nobody else wants can be collected.
    ///
    /// Calls that are under way end first.
    func abandonAdd(_ session: AddSession) async throws
    /// Takes the idle limit from an add: whoever calls this gives the add up when its user is gone.
    func holdAdd(_ session: AddSession) async throws

    // MARK: Reading

    /// Follows a path to what it names.
    func resolve(_ path: ContentPath) async throws -> ContentInfo
    /// Entries of a directory, by name; for a file the file itself, without a name.
    func list(_ path: ContentPath) async throws -> [ContentEntry]
    /// Gives the bytes of a file from `offset` on, at most `length`.
    func read(_ path: ContentPath, offset: UInt64, length: UInt64?, into sink: @escaping ByteSink)
        async throws

    /// Gives the parts of a job's result, merged in key order.
    ///
    /// Where keys end in lines is known from the job, or found from the lines. Parts whose lines no partition by key
    /// explains are given one after the other.
    func readResult(_ cid: CID, into sink: @escaping ByteSink) async throws

    // MARK: Blocks and DAGs

    /// The verified bytes of a block.
    func block(_ cid: CID) async throws -> [UInt8]
    /// Stores one block of a codec.
    func putBlock(_ bytes: [UInt8], codec: UInt64) async throws -> BlockInfo
    /// A block's length.
    func blockInfo(_ cid: CID) async throws -> BlockInfo
    /// Removes a block that no pin needs.
    func removeBlock(_ cid: CID) async throws
    /// Gives a CARv1 of everything under `cid`, depth first.
    func exportCAR(_ cid: CID, into sink: @escaping ByteSink) async throws
    /// Stores a whole CAR or nothing of it.
    func importCAR(_ source: any ByteSource, pinsRoots: Bool) async throws -> ImportReport
    /// Counts the distinct blocks under `cid`.
    func dagStatistics(_ cid: CID) async throws -> DAGStatistics

    // MARK: Pins and the repository

    /// Pins a DAG that is wholly here under a name; pinning it again changes the name.
    func addPin(_ cid: CID, name: String) async throws
    /// Removes the pins of a root.
    func removePin(_ cid: CID) async throws
    /// Pinned roots.
    func pins() async throws -> [PinInfo]
    /// What the store holds.
    func repositoryStatistics() async throws -> RepositoryStatistics
    /// Removes what no pin, add or job needs, in short batches; `removed` gets each CID.
    ///
    /// With `forgetsOutputs` remembered outputs go as well, and are made again by the jobs that want them.
    func collectGarbage(forgetsOutputs: Bool, removed: @escaping @Sendable (CID) throws -> Void) async throws
        -> CollectionReport
    /// Reads and checks every block.
    func verify(progress: @escaping @Sendable (UInt64) throws -> Void) async throws -> VerificationReport

    // MARK: Jobs

    /// Checks, records and queues a job.
    func submit(_ submission: JobSubmission) async throws -> JobID
    /// Every known job, newest first.
    func jobs() async throws -> [JobStatus]
    /// One job as it is now.
    func job(_ id: JobID) async throws -> JobStatus
    /// Calls `update` with the job's status now and after changes until it has ended.
    ///
    /// - Returns: the final status.
    func watchJob(_ id: JobID, update: @escaping @Sendable (JobStatus) throws -> Void) async throws
        -> JobStatus
    /// Ends a job without a result.
    func cancelJob(_ id: JobID) async throws
    /// The job's log, oldest line first.
    func jobLog(_ id: JobID) async throws -> [JobLogEntry]

    // MARK: Functions

    /// Loads a user function in the sandbox and says what it can do.
    ///
    /// - Parameters:
    ///   - source: where the function is; a file that is not here is fetched.
    ///   - name: what errors call it, such as `wc.js`.
    ///   - limits: what it may use meanwhile.
    /// - Returns: what it can do.
    /// - Throws: `NodeError` with code `invalidFunction` and the function's own error, its place and its stack.
    func checkFunction(
        _ source: FunctionSource,
        name: String,
        limits: TaskLimits
    ) async throws -> FunctionDescription

    // MARK: Policy

    /// Who may have the node run what.
    func policy() async throws -> PolicyReport
    /// Sets what a subject may do, at once and for good; `nil`: as if it were not named.
    func setPolicy(_ grant: PolicyGrant?, of subject: PolicySubject) async throws -> PolicyReport
    /// Goes back to the defaults, also from a file that is wrong.
    func resetPolicy() async throws -> PolicyReport

    // MARK: The node

    /// Who the node is.
    func identity() async throws -> NodeIdentity
    /// What the node is doing.
    func status() async throws -> NodeStatus
    /// Other nodes that it knows.
    func peers() async throws -> [PeerInfo]
    /// Connects to a multiaddr; gives the peer's id.
    func connect(_ address: String) async throws -> String
    /// Closes the connections to a peer.
    func disconnect(_ peer: String) async throws
    /// Measures one round trip, in milliseconds.
    func ping(_ peer: String) async throws -> Double
    /// Sends bytes to a node that runs with diagnostics, and checks that the same come back.
    ///
    /// - Parameters:
    ///   - peer: whom to send to.
    ///   - byteCount: how many bytes.
    ///   - halfCloses: end our side first, and read to the end of theirs.
    /// - Returns: how many bytes came back.
    /// - Throws: `NodeError` with code `damagedInput` when others came back.
    func echo(_ peer: String, byteCount: UInt64, halfCloses: Bool) async throws -> UInt64
}
