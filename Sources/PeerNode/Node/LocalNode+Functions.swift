internal import Engines
internal import FunctionProtocol
public import MRProtocol
internal import Multiformats

// MARK: - Functions

extension LocalNode {
    /// Starts what runs functions of these kinds, for a job's that are about to be named: it is up when they are known.
    ///
    /// - Parameters:
    ///   - engines: the kinds, one for each function.
    ///   - limits: what their attempts may use.
    ///   - firstFillsSlots: attempts of the first function are likely to run in all slots at once.
    public func expectFunctions(
        _ engines: [FunctionDescription.Engine],
        limits: TaskLimits,
        firstFillsSlots: Bool
    ) {
        guard !engines.isEmpty else { return }
        jobService().library.expect(
            engines.map(\.kind),
            slotsOfFirst: firstFillsSlots ? options.slots : 1,
            limits: limits
        )
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
