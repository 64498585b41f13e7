import CLinux
import Engines
import FunctionProtocol
import Glibc
import PeerTestKit
import Testing

@Suite("Commands")
struct CommandTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func helper(
        _ command: String,
        arguments: [(name: String, value: String)] = [],
        limits: FunctionLimits = FunctionLimits()
    ) throws -> Helper {
        try Helper(.command, command, arguments: arguments, limits: limits, folder: folder.path)
    }

    @Test(
        "A map's records are lines, and lines are pairs",
        arguments: [
            ("a\nb\tc\n", .lines, ["a", "b\tc"]),
            ("a\tb\tc", .lines, ["a\tb\tc"]),
            ("a\r\n\tb\r\n\n", .lines, ["a\r", "\tb\r", ""]),
            ("a\r\nb\r\r\nc\r", .crlf, ["a", "b\r", "c\r"]),
            ("a b\n  c\td ", .words, ["a", "b", "c", "d"]),
            ("a\tb\\n\n", .kv, ["a\tb\\n"]),
            ("a\n\nb\t\nc", .kv, ["a\t", "\t", "b\t", "c\t"]),
        ] as [(String, RecordChunk.Format, [String])]
    )
    func records(input: String, format: RecordChunk.Format, output: [String]) throws {
        let helper = try helper("cat")
        try helper.map([input], format)
        #expect(helper.pairs == output)
    }

    @Test(
        "Pairs are lines of key, tab, value for combine and reduce; the tab is there without a value too",
        arguments: [FunctionRole.combine, .reduce]
    )
    func pairs(role: FunctionRole) throws {
        let helper = try helper("cat -A")
        try helper.reduce([("a", "1"), ("a", nil), ("b", ""), ("c", "x\ty")], role)
        #expect(helper.pairs == ["a^I1$", "a^I$", "b^I$", "c^Ix^Iy$"])
    }

    @Test("A combine that passes lines on changes nothing")
    func combinedPairs() throws {
        let helper = try helper("cat")
        let pairs = [("a", "1"), ("a", nil), ("", nil), ("c", "x\t")]
        try helper.reduce(pairs, .combine)
        #expect(helper.pairs == ["a\t1", "a", "", "c\tx\t"])
        try helper.reduce(pairs, .reduce)
        #expect(helper.pairs.suffix(4) == ["a\t1", "a\t", "\t", "c\tx\t"])
    }

    @Test("A classic word count runs as it is, attempt after attempt")
    func wordCount() throws {
        let map = try helper("tr -s ' ' '\\n' | sed 's/$/\\t1/'")
        try map.map(["to be or\n", "not to be\n"])
        try map.map(["be\n"])
        #expect(map.pairs == ["to\t1", "be\t1", "or\t1", "not\t1", "to\t1", "be\t1", "be\t1"])
        let reduce = try helper("awk -F'\\t' '$1!=k&&NR>1{print k FS n;n=0}{k=$1;n+=$2}END{print k FS n}'")
        try reduce.reduce([("be", "1"), ("be", "1"), ("or", "1")])
        #expect(reduce.pairs == ["be\t2", "or\t1"])
    }

    @Test("A command finds the task, the job's arguments, its folder, and nothing of the node's environment")
    func environment() throws {
        setenv("PEERNODE_TEST_SECRET", "secret", 1)
        let helper = try helper("env | sort; pwd", arguments: [("min.count", "3")])
        try helper.map([], environment: [("mapreduce_map_input_file", "logs/a.txt")])
        let lines = helper.pairs
        #expect(lines.contains("mapreduce_map_input_file=logs/a.txt"))
        #expect(lines.contains("min_count=3"))
        #expect(lines.contains { $0.hasPrefix("PATH=/") || $0.contains(":/") })
        #expect(lines.last == folder.path)
        #expect(!lines.contains { $0.contains("secret") })
    }

    @Test("Lines of the reporter are counters and status, other errors the log")
    func reporter() throws {
        let helper = try helper(
            """
            { echo reporter:counter:words,long,3; echo reporter:status:half way; echo a warning
              echo reporter:counter:no number; printf 'no newline'; } >&2
            """
        )
        try helper.map(["x\n"])
        #expect(helper.counters == [CounterIncrement(group: "words", name: "long", amount: 3)])
        #expect(helper.statuses == ["half way"])
        #expect(helper.log == "a warning\nreporter:counter:no number\nno newline")
    }

    @Test(
        "A command that does not end well fails the attempt with its status and its last words",
        arguments: [
            ("echo sorry >&2; exit 3", "the command ended with status 3", "sorry\n"),
            ("kill -9 $$", "the command ended by signal 9 (Killed)", ""),
            ("false", "the command ended with status 1", ""),
        ]
    )
    func failure(command: String, message: String, lastWords: String) throws {
        let helper = try helper(command)
        let failure = fault { try helper.map(["x\n"]) }
        #expect(failure == FunctionFault(.threw, message, stack: lastWords))
        #expect(helper.process.isUsable)
    }

    @Test("A command that is not there is said to be so")
    func unknownCommand() throws {
        let helper = try helper("no-such-command-anywhere")
        let failure = fault { try helper.map(["x\n"]) }
        #expect(failure?.message == "the command ended with status 127")
        #expect(failure?.stack.contains("no-such-command-anywhere") == true)
    }

    @Test("A command need not read its input")
    func unreadInput() throws {
        let helper = try helper("head -n 1")
        try helper.map(Array(repeating: String(repeating: "a line\n", count: 10_000), count: 100))
        try helper.map(["b\n"])
        #expect(helper.pairs == ["a line", "b"])
    }

    @Test("Megabytes pass through in both directions and in order")
    func manyBytes() throws {
        let helper = try helper("cat")
        let frames = (0..<100).map { frame in (0..<5_000).map { "\(frame) \($0)\n" }.joined() }
        try helper.map(frames)
        #expect(helper.pairs.count == 500_000)
        #expect(helper.pairs.first == "0 0" && helper.pairs.last == "99 4999")
        #expect(helper.pairs[250_000] == "50 0")
    }

    @Test("Output before input, and input after output is closed, are no deadlock")
    func oddOrders() throws {
        let first = try helper("yes | head -c 3000000; cat >/dev/null")
        try first.map([String(repeating: "x\n", count: 1_000_000)])
        #expect(first.pairs.count == 1_500_000)
        let second = try helper("echo a; exec >&-; cat >/dev/null")
        try second.map([String(repeating: "x\n", count: 1_000_000)])
        #expect(second.pairs == ["a"])
    }

    @Test("What a command leaves running ends with the attempt")
    func leftBehind() throws {
        let held = try HeldPipe(in: folder)
        let helper = try helper("exec 9>held; echo held >&9; setsid sleep 1000 & sleep 1000 & echo left")
        try helper.map(["x\n"])
        #expect(helper.pairs == ["left"])
        #expect(held.isLetGo)
    }

    @Test("A command that leaves a writer without end behind has ended all the same")
    func endlessWriterLeftBehind() throws {
        let helper = try helper("yes & exit 0", limits: FunctionLimits(outputByteCount: 64 << 20))
        #expect(fault { try helper.map(["x\n"]) } == nil)
        #expect(Set(helper.pairs).isSubset(of: ["y"]))
    }

    @Test("What a command does ends with the helper")
    func killedWithHelper() throws {
        let held = try HeldPipe(in: folder)
        let helper = try helper(
            "exec 9>held; echo held >&9; setsid sleep 1000 & sleep 1000",
            limits: FunctionLimits(stallMilliseconds: 300)
        )
        let failure = fault { try helper.map(["x\n"]) }
        #expect(failure?.code == .limit)
        #expect(held.isLetGo)
    }
}

@Suite("Confinement of commands")
struct CommandConfinementTests {
    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func lines(_ command: String, unlessMissing part: String? = nil) throws -> [String]? {
        let helper = try Helper(.command, command, folder: folder.path)
        if let part, helper.readiness.missing.contains(part) { return nil }
        try helper.map([])
        return helper.pairs
    }

    @Test("A command has its three descriptors, no capabilities, and gains none by exec")
    func rights() throws {
        #expect(try lines("ls /proc/self/fd") == ["0", "1", "2", "3"])
        let status = try lines("grep -E 'CapEff|CapPrm|NoNewPrivs' /proc/self/status")
        #expect(status == ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"])
    }

    @Test("A command has no network")
    func network() throws {
        let interfaces = try lines(
            "sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d ' '",
            unlessMissing: "network namespace"
        )
        #expect(interfaces == nil || interfaces == ["lo"])
    }

    @Test("A command sees only what it has started, and the process that runs it")
    func processes() throws {
        let processes = try lines("echo /proc/[0-9]* | wc -w", unlessMissing: "own /proc")
        #expect(
            processes == nil || processes.flatMap { $0.first.flatMap { Int($0) } }.map { $0 <= 4 } == true
        )
    }

    @Test(
        "A command writes in its folder and nowhere else",
        .enabled(if: landlock_version() > 0, "needs Landlock")
    )
    func files() throws {
        #expect(try lines("echo x >here && cat here") == ["x"])
        let built: String = try #require(BuiltHelper.path)
        #expect(try lines("(echo x >>'\(built)') 2>/dev/null || echo refused") == ["refused"])
        #expect(try lines("(echo x >/proc/1/oom_score_adj) 2>/dev/null || echo refused") == ["refused"])
    }

    @Test(
        "Commands of an ordinary user run as that user",
        .enabled(if: Privileges.canStartAsAnotherUser, "needs root and setpriv")
    )
    func ordinaryUser() throws {
        let built: String = try #require(BuiltHelper.path)
        let script = try folder.script(
            "#!/bin/sh\nexec /usr/bin/setpriv --reuid=61234 --regid=61234 --clear-groups '\(built)' \"$@\"\n"
        )
        let helper = try Helper(.command, "id -u; cat", folder: folder.path, executable: script)
        try helper.map(["x\n"])
        #expect(helper.pairs == ["61234", "x"])
    }
}

/// Whether this system lets a test play one that gives no namespaces.
enum Namespaces {
    static let canBeTakenAway = system("unshare -Ur setpriv --version >/dev/null 2>&1") == 0
}

/// A system that gives no namespaces, such as many a container.
@Suite(
    "Commands without namespaces",
    .enabled(if: Namespaces.canBeTakenAway, "needs user namespaces to take them away")
)
struct WithoutNamespaces {
    let folder: TemporaryFolder
    let executable: String

    init() throws {
        folder = try TemporaryFolder()
        let built: String = try #require(BuiltHelper.path)
        let withoutRights = "setpriv --securebits=+noroot,+noroot_locked --bounding-set=-all --inh-caps=-all"
        executable = try folder.script(
            """
            #!/bin/sh
            exec unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces; exec \(withoutRights) "$@"' \
              sh '\(built)' "$@"
            """
        )
    }

    private func helper(_ engine: EngineKind, _ command: String, _ limits: FunctionLimits = FunctionLimits())
        throws -> Helper
    {
        try Helper(engine, command, limits: limits, folder: folder.path, executable: executable)
    }

    @Test("What is missing is named")
    func missing() throws {
        let confined = ["user namespace", "network namespace", "IPC namespace", "host name namespace"]
        #expect(Set(try helper(.probe, "").readiness.missing).isSuperset(of: confined))
        let forCommands = confined + ["mount namespace", "process number namespace"]
        #expect(Set(try helper(.command, "true").readiness.missing).isSuperset(of: forCommands))
    }

    @Test("What a command leaves running ends with the attempt all the same")
    func leftBehind() throws {
        let held = try HeldPipe(in: folder)
        let helper = try helper(
            .command,
            "exec 9>held; echo held >&9; setsid sleep 1000 & (setsid sleep 1000 &); echo left"
        )
        try helper.map(["x\n"])
        #expect(helper.pairs == ["left"])
        #expect(held.isLetGo)
    }

    @Test("A bomb of processes is stopped all the same")
    func bomb() throws {
        let held = try HeldPipe(in: folder)
        let helper = try helper(
            .command,
            "exec 9>held; echo held >&9; \(Excess.bomb)",
            FunctionLimits(processCount: 20)
        )
        let failure = fault { try helper.map(["x\n"]) }
        #expect(failure?.message == "the attempt passed its limit on processes, 20")
        #expect(held.isLetGo)
    }
}

/// A pipe that a command holds open by the name `held`, to see whether any of its processes is left.
final class HeldPipe {
    private let reader: Int32

    init(in folder: TemporaryFolder) throws {
        #expect(mkfifo(folder.path + "/held", 0o600) == 0)
        reader = open(folder.path + "/held", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        try #require(reader >= 0)
    }

    deinit { close(reader) }

    /// A process had it, and wrote the word; none has it any more: the pipe is at its end.
    var isLetGo: Bool {
        var word = [UInt8](repeating: 0, count: 16)
        return read(reader, &word, word.count) == 5 && read(reader, &word, word.count) == 0
    }
}

@Suite("Limits of commands")
struct CommandLimitTests {
    static let excesses = [
        Excess(
            request: "while :; do :; done",
            limits: FunctionLimits(cpuMilliseconds: 200),
            limit: "processor time, 200 ms"
        ),
        Excess(
            request: "(while :; do :; done) & (while :; do :; done) & wait",
            limits: FunctionLimits(cpuMilliseconds: 200),
            limit: "processor time, 200 ms"
        ),
        Excess(
            request: "sleep 1000",
            limits: FunctionLimits(stallMilliseconds: 200),
            limit: "time without progress, 200 ms"
        ),
        Excess(
            request: "{ head -c 80000000 /dev/zero; sleep 1000; } | tail",
            limits: FunctionLimits(memoryByteCount: 64 << 20),
            limit: "memory, 64 MiB"
        ),
        Excess(
            request: Excess.bomb,
            limits: FunctionLimits(processCount: 20),
            limit: "processes, 20"
        ),
        Excess(
            request: "yes",
            limits: FunctionLimits(outputByteCount: 10 << 20),
            limit: "output, 10 MiB"
        ),
        Excess(request: "yes >&2", limits: FunctionLimits(), limit: "log, 64 KiB"),
        Excess(
            request: "head -c 100000000 /dev/zero | tr '\\0' x",
            limits: FunctionLimits(),
            limit: "a line of output, 63 MiB"
        ),
    ]

    @Test(
        "A command that passes a limit ends with the limit's name, and so does all that it started",
        arguments: excesses
    )
    func stopped(excess: Excess) throws {
        let folder = try TemporaryFolder()
        let helper = try Helper(.command, excess.request, limits: excess.limits, folder: folder.path)
        let failure = fault { try helper.map(["x\n"]) }
        #expect(failure?.code == .limit)
        #expect(failure?.message == "the attempt passed its limit on \(excess.limit)")
        #expect(helper.process.isUsable == helper.isAlive)
    }
}
