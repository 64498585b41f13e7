import MRProtocol
import Multiformats
import Testing

@testable import PeerNode

@Suite("Policy") struct PolicyTests {
    private let peer = PeerID.numbered(1)
    private let other = PeerID.numbered(2)

    private static let file = CID.of([1, 2, 3], codec: .raw)

    private func spec(_ map: FunctionReference, reduce: FunctionReference = .builtIn("sum")) -> JobSpec {
        JobSpec(map: map, combine: nil, reduce: reduce, reduceCount: 1, recordFormat: .lines, inputs: [])
    }

    /// Who asks.
    enum Caller: CaseIterable {
        case own, samePrivateNetwork, stranger, named, namedWithCommands
    }

    private func refusal(_ policy: Policy, _ job: JobSpec, _ caller: Caller) -> String? {
        var policy = policy
        let asks: PeerID? = caller == .own ? nil : peer
        if caller == .named { policy.peers[peer] = .sandboxed }
        if caller == .namedWithCommands { policy.peers[peer] = .everything }
        do throws(PolicyRefusal) {
            _ = try policy.admit(job, from: asks, inPrivateNetwork: caller == .samePrivateNetwork)
            return nil
        } catch {
            return error.reason
        }
    }

    @Test(
        "by default commands are for the own user and for who was named for them, strangers get nothing",
        arguments: Caller.allCases
    )
    func defaults(caller: Caller) {
        let builtIn = refusal(Policy(), spec(.builtIn("wc")), caller)
        let script = refusal(Policy(), spec(.file(Self.file)), caller)
        let command = refusal(Policy(), spec(.command("cat")), caller)
        let mixed = refusal(Policy(), spec(.builtIn("wc"), reduce: .command("cat")), caller)
        switch caller {
        case .own, .namedWithCommands: #expect([builtIn, script, command, mixed] == [nil, nil, nil, nil])
        case .samePrivateNetwork, .named:
            #expect([builtIn, script] == [nil, nil])
            #expect(command?.hasSuffix("may not run commands here") == true)
            #expect(mixed == command)
        case .stranger:
            #expect(Set([builtIn, script, command, mixed]) == ["strangers may run no jobs here"])
        }
    }

    @Test("what is said of a peer by name replaces what it has as one of its network")
    func namedComesFirst() throws {
        let policy = Policy(peers: [peer: .nothing, other: PolicyGrant([.builtin], slots: 3)])
        #expect(throws: PolicyRefusal("\(peer) may run no jobs here")) {
            try policy.admit(nil, from: peer, inPrivateNetwork: true)
        }
        #expect(try policy.admit(nil, from: other, inPrivateNetwork: false).slots == 3)
    }

    @Test("a function from a file needs its engine, which shows when the file is here")
    func engineOfFile() throws {
        let policy = Policy(network: PolicyGrant([.webassembly]))
        _ = try policy.admit(
            spec(.file(Self.file), reduce: .file(Self.file)),
            from: peer,
            inPrivateNetwork: true
        )
        try policy.admit(PolicyEngine.webassembly, from: peer, inPrivateNetwork: true)
        #expect(throws: PolicyRefusal("peers of the private network may not run JavaScript here")) {
            try policy.admit(PolicyEngine.javascript, from: peer, inPrivateNetwork: true)
        }
        #expect(throws: PolicyRefusal.self) {
            try Policy(network: PolicyGrant([.builtin])).admit(
                spec(.file(Self.file)),
                from: peer,
                inPrivateNetwork: true
            )
        }
    }

    @Test("functions of others are refused where the sandbox is not whole, unless the operator says so")
    func unconfined() throws {
        let lacking = SandboxState.tried(missing: ["landlock", "seccomp"])
        #expect(
            throws: PolicyRefusal(
                "functions of other nodes are not run here: the sandbox lacks landlock, seccomp"
            )
        ) { try Policy().admitConfined(from: peer, lacking) }
        try Policy().admitConfined(from: nil, lacking)
        try Policy().admitConfined(from: peer, .tried(missing: []))
        try Policy(allowsUnconfined: true).admitConfined(from: peer, lacking)
        #expect(throws: PolicyRefusal.self) {
            try Policy(allowsUnconfined: true).admitConfined(from: peer, .unavailable("no helper"))
        }
    }

    @Test(
        "a job gets what it asks for up to the bounds, and the bound where it asks for nothing or for no end"
    )
    func limits() {
        let bounds = PolicyLimits([.memory: 100, .cpu: 50])
        var asked = TaskLimits()
        asked.memoryByteCount = 70
        asked.cpuMilliseconds = 60
        asked.processCount = 9
        var bounded = bounds.bounding(asked)
        #expect(bounded.memoryByteCount == 70)
        #expect(bounded.cpuMilliseconds == 50)
        #expect(bounded.processCount == 9)
        #expect(bounded.outputByteCount == nil)
        bounded = bounds.bounding(TaskLimits())
        #expect(bounded.memoryByteCount == 100)
        asked.memoryByteCount = 0
        #expect(bounds.bounding(asked).memoryByteCount == 100)
    }

    @Test("for other nodes the standard limits are bounds, unless others are set, and no end is the bound")
    func limitsOfPeers() {
        let bounds = PolicyLimits([.memory: 4 << 30, .log: 9])
        var job = spec(.file(PolicyTests.file))
        job.limits.memoryByteCount = 8 << 30
        job.limits.cpuMilliseconds = 1 << 40
        job.limits.outputByteCount = 0
        job.limits.processCount = 3
        let bounded = bounds.boundingPeers(job)
        #expect(bounded.memoryByteCount == 4 << 30)
        #expect(bounded.cpuMilliseconds == 600_000)
        #expect(bounded.outputByteCount == 4 << 30)
        #expect(bounded.processCount == 3)
        #expect(bounded.logByteCount == 9)
        // Each engine's own standard.
        #expect(bounded.stallMilliseconds == nil)
        #expect(PolicyLimits().boundingPeers(job).memoryByteCount == 512 << 20)
        #expect(PolicyLimits().bounding(job.limits) == job.limits)
    }

    @Test(
        "other nodes' commands may be silent for 10 minutes, their functions for 1, unless another bound is set",
        arguments: [
            (asked: nil, bound: nil, command: nil, function: nil),
            (asked: 5_000, bound: nil, command: 5_000, function: 5_000),
            (asked: 300_000, bound: nil, command: 300_000, function: 60_000),
            (asked: 0, bound: nil, command: 600_000, function: 60_000),
            (asked: nil, bound: 7_000, command: 7_000, function: 7_000),
            (asked: 9_000, bound: 7_000, command: 7_000, function: 7_000),
            (asked: 900_000, bound: 1_200_000, command: 900_000, function: 900_000),
        ] as [(asked: UInt64?, bound: UInt64?, command: UInt64?, function: UInt64?)]
    )
    func silence(asked: UInt64?, bound: UInt64?, command: UInt64?, function: UInt64?) {
        let bounds = PolicyLimits(bound.map { [.stall: $0] } ?? [:])
        var (commands, functions) = (spec(.command("cat")), spec(.file(PolicyTests.file)))
        commands.limits.stallMilliseconds = asked
        functions.limits.stallMilliseconds = asked
        #expect(bounds.boundingPeers(commands).stallMilliseconds == command)
        #expect(bounds.boundingPeers(functions).stallMilliseconds == function)
    }

    // MARK: The file

    private func parse(_ text: String) throws(NodeError) -> Policy {
        try Policy(parsing: Array(text.utf8), file: "policy.json")
    }

    @Test("what a file leaves out is as by default")
    func partialFile() throws {
        #expect(try parse("{}") == Policy())
        let policy = try parse(
            """
            {"version": 1, "unconfined": true,
             "others": {"engines": ["builtin"], "slots": 1, "limits": {"cpu": "90s", "memory": "64M", "pairs": 5}},
             "peers": {"\(peer)": {"engines": ["builtin", "command"]}}}
            """
        )
        #expect(policy.own == .everything)
        #expect(policy.network == .sandboxed)
        #expect(policy.allowsUnconfined)
        let limits = PolicyLimits([.cpu: 90_000, .memory: 64 << 20, .pairs: 5])
        #expect(policy.others == PolicyGrant([.builtin], slots: 1, limits: limits))
        #expect(policy.peers == [peer: PolicyGrant([.builtin, .command])])
    }

    @Test("what is written is read as it was")
    func roundTrip() throws {
        var policy = Policy(peers: [peer: .nothing, other: .everything], allowsUnconfined: true)
        policy.network.limits.bounds = [
            .cpu: 1_500, .stall: 3_600_000, .memory: 1 << 30, .output: 1_000, .log: 64 << 10, .processes: 7,
            .pairs: 1 << 40,
        ]
        policy.others.slots = 1_024
        #expect(try parse(policy.json.pretty) == policy)
    }

    @Test(
        "a file that says anything that is not understood is refused, naming the place",
        arguments: [
            ("", "policy.json, line 1"),
            ("{\n \"network\": {\n", "policy.json, line 3"),
            ("[]", "policy.json: must be an object"),
            (#"{"netwrok": {"engines": []}}"#, "there is no «netwrok» (did you mean network?)"),
            (#"{"version": 2}"#, "version: only version 1 is known"),
            (#"{"unconfined": "yes"}"#, "unconfined: must be true or false"),
            (#"{"network": []}"#, "network: must be an object"),
            (#"{"network": {}}"#, "network.engines: must be an array"),
            (#"{"network": {"engines": "builtin"}}"#, "network.engines: must be an array"),
            (#"{"network": {"engines": [1]}}"#, "network.engines[0]: must be the name"),
            (
                #"{"network": {"engines": ["builtin", "javscript"]}}"#,
                "network.engines[1]: there is no engine"
            ),
            (#"{"network": {"engines": ["command"]}}"#, "network.engines[0]: commands can be allowed to"),
            (#"{"others": {"engines": ["command"]}}"#, "others.engines[0]: commands can be allowed to"),
            (#"{"others": {"engines": [], "slot": 1}}"#, "others: there is no «slot» (did you mean slots?)"),
            (#"{"others": {"engines": [], "slots": 0}}"#, "others.slots: must be a number from 1"),
            (#"{"others": {"engines": [], "slots": "2"}}"#, "others.slots: must be a number from 1"),
            (#"{"others": {"engines": [], "limits": 1}}"#, "others.limits: must be an object"),
            (
                #"{"others": {"engines": [], "limits": {"memroy": 1}}}"#,
                "others.limits: there is no limit «memroy» (did you mean memory?)"
            ),
            (
                #"{"others": {"engines": [], "limits": {"memory": "much"}}}"#,
                "others.limits.memory: must be a size"
            ),
            (#"{"others": {"engines": [], "limits": {"cpu": 0}}}"#, "others.limits.cpu: must be a duration"),
            (#"{"others": {"engines": [], "limits": {"cpu": -1}}}"#, "others.limits.cpu: must be a duration"),
            (#"{"peers": {"me": {"engines": []}}}"#, "peers.me: is not a peer id"),
            (#"{"peers": ["x"]}"#, "peers: must be an object"),
        ]
    )
    func strictFile(text: String, said: String) {
        let error = #expect(throws: NodeError.self) { try parse(text) }
        #expect(error?.code == .file)
        #expect(error?.message.contains(said) == true, "\(error?.message ?? "")")
    }

    @Test("a peer under two spellings of its id is refused")
    func twoSpellings() {
        let error = #expect(throws: NodeError.self) {
            try parse(#"{"peers": {"\#(peer)": {"engines": []}, "\#(peer.cidText)": {"engines": []}}}"#)
        }
        #expect(error?.message.contains("is named twice") == true)
    }

    @Test("texts of limits", arguments: PolicyLimits.Name.allCases)
    func limitTexts(name: PolicyLimits.Name) {
        for value: UInt64 in [1, 999, 1_000, 1_024, 60_000, 3_600_000, 90_000, 1 << 20, (1 << 31) + 1] {
            #expect(name.parse(name.format(value)) == value, "\(name.format(value))")
        }
        for text in ["", "0", "x", "-1", "1y", "99999999999999999999"] { #expect(name.parse(text) == nil) }
    }
}
