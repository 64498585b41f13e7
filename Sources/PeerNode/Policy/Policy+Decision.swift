package import MRProtocol
package import Multiformats

/// Why this node does not run a job.
package struct PolicyRefusal: Error, Hashable, Sendable {
    /// One line for who submitted it.
    package var reason: String

    package init(_ reason: String) { self.reason = reason }
}

extension Policy {
    /// Checks what is known of a job without its functions' files.
    ///
    /// - Parameters:
    ///   - spec: what is asked; `nil`: any job at all.
    ///   - peer: who asks; `nil`: this node's own user.
    ///   - isPrivate: this node has a swarm key.
    /// - Returns: what the submitter may use.
    /// - Throws: why the job is refused.
    package func admit(
        _ spec: JobSpec?,
        from peer: PeerID?,
        inPrivateNetwork isPrivate: Bool
    ) throws(PolicyRefusal) -> PolicyGrant {
        let subject = subject(of: peer, inPrivateNetwork: isPrivate)
        let grant = self[subject]
        guard !grant.engines.isEmpty else { throw PolicyRefusal("\(subject.words) may run no jobs here") }
        for function in spec?.functions ?? [] {
            switch function {
            case .builtIn: try grant.require(.builtin, subject)
            case .command: try grant.require(.command, subject)
            case .file:
                // Which of the two it is shows when the file is here.
                guard grant.engines.contains(.javascript) || grant.engines.contains(.webassembly) else {
                    throw PolicyRefusal("\(subject.words) may not run functions from files here")
                }
            }
        }
        return grant
    }

    /// Checks the engine of a function whose file has arrived.
    package func admit(
        _ engine: PolicyEngine,
        from peer: PeerID?,
        inPrivateNetwork isPrivate: Bool
    ) throws(PolicyRefusal) {
        let subject = subject(of: peer, inPrivateNetwork: isPrivate)
        try self[subject].require(engine, subject)
    }

    /// Checks that code of another node would be confined here.
    ///
    /// What is not known yet is let through: the process of each function says what it lacks, and is asked about again.
    package func admitConfined(from peer: PeerID?, _ sandbox: SandboxState) throws(PolicyRefusal) {
        guard peer != nil else { return }
        switch sandbox {
        case .unavailable(let reason): throw PolicyRefusal("functions cannot run here: \(reason)")
        case .tried(let missing) where !missing.isEmpty && !allowsUnconfined:
            let parts = missing.joined(separator: ", ")
            throw PolicyRefusal("functions of other nodes are not run here: the sandbox lacks \(parts)")
        case .unknown, .tried: break
        }
    }
}

extension PolicyGrant {
    fileprivate func require(_ engine: PolicyEngine, _ subject: PolicySubject) throws(PolicyRefusal) {
        guard !engines.contains(engine) else { return }
        throw PolicyRefusal("\(subject.words) may not run \(engine.words) here")
    }
}

extension PolicySubject {
    fileprivate var words: String {
        switch self {
        case .own: "this node's own user"
        case .network: "peers of the private network"
        case .peer(let peer): "\(peer)"
        case .others: "strangers"
        }
    }
}

extension PolicyEngine {
    fileprivate var words: String {
        switch self {
        case .builtin: "built-in functions"
        case .javascript: "JavaScript"
        case .webassembly: "WebAssembly"
        case .command: "commands"
        }
    }
}
