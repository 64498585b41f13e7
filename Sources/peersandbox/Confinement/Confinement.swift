import FunctionProtocol

/// What the process takes from itself, in two steps: before its engine starts, and before it reads the function.
struct Confinement {
    /// Parts that this kernel lacks.
    private(set) var missing: [String] = []

    init(of engine: EngineKind) {}

    func lock() {}
}
