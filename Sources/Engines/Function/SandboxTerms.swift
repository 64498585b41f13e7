package import FunctionProtocol

/// On what terms a node runs the functions of one job.
package struct SandboxTerms: Sendable {
    /// The node's home, of which commands see nothing but their working folder; empty: none.
    package var hiddenFolder: String
    /// The job is another node's.
    package var isForeign: Bool
    /// Says why a function is not run whose process lacks these parts of the sandbox; `nil`: it is run.
    ///
    /// Asked for each process, for a system may refuse to one what it gave to those before.
    package var refusal: @Sendable (_ engine: EngineKind, _ missing: [String]) -> String?

    /// The terms; those of the node's own user unless they say otherwise.
    package init(
        hiddenFolder: String = "",
        isForeign: Bool = false,
        refusal: @escaping @Sendable (_ engine: EngineKind, _ missing: [String]) -> String? = { _, _ in nil }
    ) {
        self.hiddenFolder = hiddenFolder
        self.isForeign = isForeign
        self.refusal = refusal
    }
}
