import FunctionProtocol

/// Runs one function's attempts, one after the other.
protocol Runner: AnyObject {
    /// Confines the process, before a byte of the function is read.
    ///
    /// - Returns: parts of the sandbox that the system lacks.
    static func confine() -> [String]

    /// Addresses that the process may reserve, in bytes.
    static var addressByteCount: UInt { get }

    /// Does what needs files or devices, such as starting an engine's virtual machine.
    ///
    /// Called once, in a process that is confined but not yet locked, before a byte of the function is read.
    static func warmUp()

    /// Loads and checks the function; what is wrong with it is `FunctionFault.Code.invalid`.
    init(_ preparation: Preparation) throws(FunctionFault)

    /// Takes another preparation of the function that is loaded, such as a job's after a check without one.
    ///
    /// - Throws: `invalid` when the function is not fit for it; the process ends then.
    func reload(_ preparation: Preparation) throws(FunctionFault)

    /// What the loaded function can do; what `confine` missed is added by `Sandbox`.
    var readiness: Readiness { get }

    /// One attempt: reads the channel until its input ends, or returns earlier.
    ///
    /// Nothing that an earlier attempt left behind is seen by the function.
    func execute(_ start: TaskStart, _ channel: Channel) throws(FunctionFault)

    /// Does what the next attempt will need, now that the node has its answer and is busy with it.
    func lookAhead()
}

extension Runner {
    static var addressByteCount: UInt { ResourceLimit.maxAddressByteCount }

    static func confine() -> [String] {
        var confinement = Confinement(addressByteCount: addressByteCount)
        NodeWatch.start()
        warmUp()
        confinement.lock()
        return confinement.missing
    }

    static func warmUp() {}

    func lookAhead() {}

    func reload(_ preparation: Preparation) throws(FunctionFault) {
        throw FunctionFault(.protocolViolation, "a second preparation of a function that takes one")
    }
}

extension EngineKind {
    /// What runs functions of this kind; `nil`: nothing here does.
    var runner: (any Runner.Type)? {
        switch self {
        case .javaScript: JavaScriptRunner.self
        case .webAssembly: WebAssemblyRunner.self
        case .command: CommandRunner.self
        case .probe: ProbeRunner.self
        }
    }
}
