public import Multiformats

/// What the store, or reading and building files on top of it, failed at.
public struct BlockStoreError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure; more may be added.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Name: String, Sendable {
            case notFound, corrupt, badBlock, full, pinned, inUse, busy
            case newerSchema, notAStore, damagedStore, io
            case badNode, unsupported, noSuchPath, notAFile, notADirectory, badPath, specialFile
            case badCAR, badName, closed, cancelled
        }
        private let name: Name

        /// A block is not here; `cid` says which, so that it can be fetched and the call repeated.
        public static let notFound = Code(name: .notFound)
        /// A stored block's bytes no longer match its hash; it is in quarantine now.
        public static let corrupt = Code(name: .corrupt)
        /// Bytes offered do not match their CID, are too long, or use a hash that cannot be checked.
        public static let badBlock = Code(name: .badBlock)
        /// The store's size limit or the disk is reached.
        public static let full = Code(name: .full)
        /// The block is reachable from a pin.
        public static let pinned = Code(name: .pinned)
        /// The block is protected by a running add or job.
        public static let inUse = Code(name: .inUse)
        /// Another process held the store for too long.
        public static let busy = Code(name: .busy)
        /// The file was written by a newer version.
        public static let newerSchema = Code(name: .newerSchema)
        /// The file is something else, or unreadable.
        public static let notAStore = Code(name: .notAStore)
        /// SQLite finds the file's structure damaged.
        public static let damagedStore = Code(name: .damagedStore)
        /// The operating system failed to read or write.
        public static let io = Code(name: .io)
        /// A block is not the node that its place demands.
        public static let badNode = Code(name: .badNode)
        /// A legal form that this version does not read or write.
        public static let unsupported = Code(name: .unsupported)
        /// A directory has no such entry.
        public static let noSuchPath = Code(name: .noSuchPath)
        /// A file was asked for and something else is there.
        public static let notAFile = Code(name: .notAFile)
        /// A directory was asked for and something else is there.
        public static let notADirectory = Code(name: .notADirectory)
        /// A path or entry name that must not be used.
        public static let badPath = Code(name: .badPath)
        /// A socket, device or pipe where a file was expected.
        public static let specialFile = Code(name: .specialFile)
        /// A CAR file is damaged.
        public static let badCAR = Code(name: .badCAR)
        /// No pin has this name, or the name is not allowed.
        public static let badName = Code(name: .badName)
        /// The ingest or store was closed before.
        public static let closed = Code(name: .closed)

        /// The caller asked to stop.
        public static let cancelled = Code(name: .cancelled)

        /// The name of the code.
        public var description: String { name.rawValue }
    }

    /// The kind of failure.
    public var code: Code
    /// What failed, on what, and what to do about it; one line.
    public var message: String
    /// The block concerned.
    public var cid: CID?
    /// Byte offset in the file or CAR, where one is known.
    public var offset: UInt64?
    /// The failure underneath.
    public var cause: (any Error)?

    /// Describes a failure.
    public init(
        _ code: Code,
        _ message: String,
        cid: CID? = nil,
        offset: UInt64? = nil,
        cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.cid = cid
        self.offset = offset
        self.cause = cause
    }

    /// The message.
    public var description: String { message }
}

extension BlockStoreError {
    /// The failure is one of a single block: others can still be read.
    var isOfOneBlock: Bool { [.notFound, .corrupt, .badNode, .unsupported].contains(code) }

    static func notFound(_ cid: CID) -> BlockStoreError {
        BlockStoreError(.notFound, "block \(cid) is not in the store", cid: cid)
    }

    static func badNode(_ cid: CID, _ what: String, cause: (any Error)? = nil) -> BlockStoreError {
        BlockStoreError(.badNode, "block \(cid): \(what)", cid: cid, cause: cause)
    }

    /// Any error as one of ours.
    static func wrap(_ error: any Error) -> BlockStoreError {
        error as? BlockStoreError ?? BlockStoreError(.io, "\(error)", cause: error)
    }

    /// Says where in a file the failing block would have stood.
    package func at(offset: UInt64) -> BlockStoreError {
        var located = self
        guard located.offset == nil else { return self }
        located.offset = offset
        located.message += ", needed at byte \(offset)"
        return located
    }
}
