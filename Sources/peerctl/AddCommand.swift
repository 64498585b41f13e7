import Glibc
import Multiformats
import PeerNode

/// `add`: files, directories and standard input into the store.
enum AddCommand {
    static let options: [OptionSpec] = [
        .flag("recursive", "r", "add directories with all that is in them"),
        .flag("wrap-with-directory", "w", "put everything into one more directory"),
        .flag("only-hash", "n", "print CIDs, store nothing"),
        .flag("quieter", "Q", "print only the last CID"),
        .flag("hidden", "H", "also files in directories whose names start with a dot"),
        .flag("pin", nil, "keep what is added (default true)"),
        .value("pin-name", nil, "NAME", "name of the pin (default: the CID)"),
        .value("cid-version", nil, "N", "1 (default) or 0: as `ipfs add --cid-version=N`"),
        .value("profile", nil, "P", "standard, unixfs-v0-2015 or unixfs-v1-2025"),
        .value("chunker", "s", "size-262144", "for scripts of ipfs; no other value"),
        .flag("raw-leaves", nil, "for scripts of ipfs; as the profile says, no other value"),
        .value("max-file-links", nil, "174", "for scripts of ipfs; no other value"),
        .value("hash", nil, "sha2-256", "for scripts of ipfs; no other value"),
        .flag("progress", "p", "show progress on stderr (default: on a terminal)"),
    ]

    static let verb = Verb(
        name: "add",
        summary: "add files or directories and pin them",
        operands: "PATH… or -",
        options: options,
        details: """
            Prints `added CID NAME` for each file and directory; with -q only the CID of each PATH.
            CIDs equal those of `ipfs add --cid-version=1`: 262,144-byte raw leaves, 174 links a node.
            """,
        example: "peerctl add -r photos        # then: peerctl ls CID",
        operandCount: 0...Int.max,
        run: run
    )

    private static func run(_ call: Invocation) async throws {
        let profile = try self.profile(call)
        if let name = call.arguments.value("pin-name") { try PinInfo.checkName(name) }
        let paths = call.operands.isEmpty ? ["-"] : call.operands
        try await call.withNode { access in
            let adder = Adder(call: call, node: access.service)
            try await adder.add(paths, profile: profile)
        }
    }

    /// The profile that the options ask for; anything that we do not do is refused.
    static func profile(_ call: Invocation) throws(UsageError) -> ImportProfile {
        var profile = ImportProfile.standard
        if let name = call.arguments.value("profile") {
            guard let named = ImportProfile(rawValue: name) else {
                let known = ImportProfile.allCases.map(\.rawValue).joined(separator: ", ")
                throw UsageError("there is no profile «\(name)»; there are \(known)")
            }
            profile = named
        }
        switch call.arguments.value("cid-version") {
        case nil: break
        case "1":
            if profile == .unixFSv0 {
                throw UsageError("--cid-version=1 contradicts --profile=\(profile.rawValue)")
            }
        case "0": profile = .unixFSv0
        case .some(let text): throw UsageError("--cid-version is 0 or 1, not «\(text)»")
        }
        try call.require("chunker", profile == .unixFSv1 ? "size-1048576" : "size-262144")
        try call.require("raw-leaves", profile == .unixFSv0 ? "false" : "true")
        try call.require("max-file-links", profile == .unixFSv1 ? "1024" : "174")
        try call.require("hash", "sha2-256")
        return profile
    }
}
