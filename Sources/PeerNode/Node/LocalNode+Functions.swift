internal import Engines
internal import FunctionProtocol
public import MRProtocol
internal import Multiformats

// MARK: - Functions

extension LocalNode {
    /// Starts what runs functions of this kind, for one that is about to be named: it is up when the function is known.
    ///
    /// - Parameters:
    ///   - engine: the kind.
    ///   - limits: what its attempts may use.
    ///   - inFurtherSlots: it is the second call for this function, whose attempts are likely to fill all slots: as many
    ///     more are started as slots and `SpareProcesses.maxCount` admit.
    public func expectFunction(
        _ engine: FunctionDescription.Engine,
        limits: TaskLimits,
        inFurtherSlots: Bool = false
    ) {
        let kind: EngineKind =
            switch engine {
            case .javaScript: .javaScript
            case .webAssembly: .webAssembly
            case .command: .command
            }
        for _ in 0..<(inFurtherSlots ? max(0, options.slots - 1) : 1) {
            jobService().library.expect(kind, limits: limits)
        }
    }

    /// As `NodeService` says.
    public func checkFunction(
        _ source: FunctionSource,
        name: String,
        limits: TaskLimits
    ) async throws -> FunctionDescription {
        try await jobService().library.describe(source, name: name, limits: limits)
    }
}

extension FunctionLibrary {
    /// As `NodeService.checkFunction` says.
    func describe(
        _ source: FunctionSource,
        name: String,
        limits: TaskLimits
    ) async throws(NodeError) -> FunctionDescription {
        var names: [CID: String] = [:]
        if let cid = source.cid, !name.isEmpty { names[cid] = name }
        do {
            return try await describe(source, limits: limits)
        } catch let fault as TaskFault {
            let code: NodeError.Code =
                switch fault {
                case .userFunction(let failure): failure.kind == .sandbox ? .notAllowed : .invalidFunction
                case .blockUnavailable: .notFound
                default: .internal
                }
            throw NodeError(code, fault.report(naming: names))
        } catch {
            throw NodeError.wrap(error)
        }
    }
}

extension FunctionSource {
    /// What faults call the function.
    fileprivate var cid: CID? {
        switch self {
        case .file(let cid): cid
        case .bytes(let bytes): CID.of(bytes, codec: .raw)
        case .command: nil
        }
    }
}
