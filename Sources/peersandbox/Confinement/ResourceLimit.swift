import CLinux

/// Resources that the system counts for a process.
enum ResourceLimit {
    /// Addresses in bytes: what JavaScriptCore reserves, and what a function may have.
    ///
    /// What is used of them is the node's limit.
    static let maxAddressByteCount: UInt = 8 << 30
    /// The same where memories of WebAssembly reserve 4 GiB each, so that no access needs a check of its bounds: for those of
    /// `JSC_maxNumWasmFastMemories` attempts, of which all but one are garbage.
    static let maxModuleAddressByteCount: UInt = 48 << 30
    /// Descriptors: the four it has, and those of an engine's event loops.
    private static let maxDescriptorCount: UInt = 24
    /// Threads of an engine.
    private static let maxThreadCount: UInt = 64
    /// Processor seconds of a process in its life: for one that outlives its node.
    private static let maxCPUSeconds: UInt = 30 * 86_400

    /// Sets the limits of a process that runs foreign code.
    static func confine(addressByteCount: UInt, hasOwnUsers: Bool) {
        limit_resource(resource_addresses, addressByteCount)
        limit_resource(resource_descriptors, maxDescriptorCount)
        if hasOwnUsers { limitThreads(maxThreadCount) }
        limit_resource(resource_cpu, maxCPUSeconds)
        for none in [resource_core, resource_file_size, resource_locked] { limit_resource(none, 0) }
    }

    /// Limits processes and threads of the user; in a user namespace these are the process's own and its children's.
    ///
    /// Before Linux 5.14 they are all of the user's, wherever, and the limit is left alone.
    static func limitThreads(_ count: UInt) {
        if Kernel.isAtLeast(5, 14) { limit_resource(resource_threads, count) }
    }
}
