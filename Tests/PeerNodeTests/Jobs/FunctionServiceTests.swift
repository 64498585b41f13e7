import BlockStore
import Engines
import FunctionProtocol
import Glibc
import MRProtocol
import Multiformats
import PeerTestKit
import Testing

@testable import PeerNode

/// What this machine can run.
enum RunnableFunctions {
    static let commands = BuiltHelper.path != nil && access("/usr/bin/python3", X_OK) == 0
    static let javaScript: Bool = {
        guard BuiltHelper.path != nil else { return false }
        let program = LoadedFunction(
            file: .file(CID.of([], codec: .raw)),
            bytes: Array("function map() {}".utf8)
        )
        return (try? JobFunctions.readiness(of: program)) != nil
    }()
}

@Suite("Jobs with functions of the user's own", .enabled(if: RunnableFunctions.commands))
struct FunctionServiceTests {
    private static let mapper = """
        import sys
        for line in sys.stdin.buffer:
            for word in line.split():
                sys.stdout.buffer.write(word + b"\\t1\\n")
            sys.stderr.write("reporter:counter:text,lines,1\\n")

        """
    private static let reducer = """
        import sys, itertools
        pairs = (line.rstrip(b"\\n").split(b"\\t") for line in sys.stdin.buffer)
        for key, group in itertools.groupby(pairs, lambda pair: pair[0]):
            sys.stdout.buffer.write(key + b"\\t%d\\n" % sum(int(pair[1]) for pair in group))

        """

    private func configuration(_ harness: JobHarness, slots: Int = 2) -> JobConfiguration {
        var configuration = harness.configuration(slots: slots)
        configuration.workFolderPath = harness.home + "/work"
        return configuration
    }

    private func wordCount(_ harness: JobHarness, _ root: CID) throws -> JobSpec {
        var spec = harness.wordCount(root)
        spec.map = .command("python3 map.py")
        spec.combine = .command("python3 reduce.py")
        spec.reduce = .command("python3 reduce.py")
        spec.recordFormat = .lines
        spec.files = [
            JobFile(name: "map.py", root: try harness.add(Array(Self.mapper.utf8), name: "map.py")),
            JobFile(name: "reduce.py", root: try harness.add(Array(Self.reducer.utf8), name: "reduce.py")),
        ]
        return spec
    }

    /// The names of what lies in the working folder.
    private func leftovers(_ harness: JobHarness) -> Int {
        guard let folder = opendir(harness.home + "/work") else { return 0 }
        defer { closedir(folder) }
        var count = -2
        while readdir(folder) != nil { count += 1 }
        return count
    }

    @Test func commandsGiveTheBuiltInsResultAndLeaveNothingBehind() async throws {
        let harness = try JobHarness()
        let text = randomText(byteCount: 900_000, seed: 41)
        let root = try harness.add(text)
        let expected = try await harness.run(harness.wordCount(root))
        let own = try await harness.run(try wordCount(harness, root), configuration(harness))
        #expect(own.state == .succeeded, "\(own.failure?.message ?? "")")
        #expect(own.result == expected.result)
        #expect(own.counters.user == ["text\tlines": Int64(own.counters.inputRecords)])
        let again = try await harness.run(try wordCount(harness, root), configuration(harness))
        #expect(again.map.executed == 0)
        #expect(again.counters.user == own.counters.user)
        #expect(again.notes.isEmpty)
        #expect(leftovers(harness) == 0)
    }

    @Test func failingFunctionFailsItsJobOnceTriedTwiceAndOthersGoOn() async throws {
        let harness = try JobHarness()
        let root = try harness.add(randomText(byteCount: 100_000, seed: 42))
        var bad = try wordCount(harness, root)
        bad.map = .command("echo what happened >&2; exit 7")
        var endless = bad
        endless.map = .command("while :; do :; done")
        endless.limits.cpuMilliseconds = 100
        let specs = [bad, try wordCount(harness, root), endless]
        let service = JobService(store: harness.store, configuration: configuration(harness))
        let ended = try await harness.withRunning(service) { service in
            var ids: [JobID] = []
            for spec in specs { ids.append(try await service.submit(JobSubmission(spec: spec))) }
            var ended: [JobStatus] = []
            for id in ids { ended.append(try await service.end(of: id)) }
            return ended
        }
        #expect(ended.map(\.state) == [.failed, .succeeded, .failed])
        let failure = try #require(ended[0].failure)
        #expect(failure.code == "function.threw")
        #expect(failure.attempt == 2)
        #expect(failure.message.contains("status 7"))
        #expect(failure.details.contains { $0.contains("what happened") })
        #expect(ended[2].failure?.code == "function.limit")
        #expect(ended[2].failure?.attempt == 2)
        #expect(leftovers(harness) == 0)
    }

    @Test(arguments: [
        ("while :; do :; done", "function.limit"), ("exit 3", "function.threw"),
    ])
    func aTrialTriesOnce(command: String, code: String) async throws {
        let trial = try FunctionTrial()
        defer { trial.close() }
        var spec = JobSpec(
            map: .command(command),
            combine: nil,
            reduce: .builtIn("identity"),
            reduceCount: 1,
            recordFormat: .lines,
            inputs: [JobInput(name: "input", root: try trial.add(Array("a\n".utf8)))]
        )
        spec.limits.cpuMilliseconds = 100
        let submission = JobSubmission(spec: spec)
        try await trial.running {
            let status = try await trial.run(submission).status
            #expect(status.failure?.code == code)
            #expect(status.attemptCount == 1)
        }
    }

    @Test func functionThatIsNotDeterministicIsNamed() async throws {
        let harness = try JobHarness()
        let root = try harness.add(randomText(byteCount: 1_200_000, seed: 43))
        var spec = harness.wordCount(root, reduces: 1)
        // Short, so that it is worth remembering; and another one each time.
        spec.map = .command("cat > /dev/null; date +%N; echo $$")
        (spec.combine, spec.reduce) = (nil, .builtIn("identity"))
        spec.recordFormat = .lines
        let first = try await harness.run(spec, configuration(harness))
        #expect(first.notes.isEmpty)
        let second = try await harness.run(spec, configuration(harness), remembers: false)
        #expect(second.result != first.result)
        let notes = second.notes.filter { $0.contains("not deterministic") }
        #expect(notes.count == 1, "one for all tasks")
        #expect(notes.first?.contains("gave two different outputs: cat > /dev/null") == true)
    }

    @Test func skippedAndCommandFolderRulesAreKept() async throws {
        let harness = try JobHarness()
        let root = try harness.add(Array("a\n".utf8))
        // Without a folder for commands there are none.
        let status = try? await harness.run(try wordCount(harness, root))
        #expect(status == nil)
        var missing = try wordCount(harness, root)
        missing.files[0].root = CID.of([1, 2, 3], codec: .raw)
        let service = JobService(store: harness.store, configuration: configuration(harness))
        await #expect { _ = try await service.submit(JobSubmission(spec: missing)) } throws: { error in
            (error as? JobServiceError)?.message.contains("map.py") == true
        }
        #expect(leftovers(harness) == 0)
    }

    @Test(.enabled(if: RunnableFunctions.javaScript))
    func scriptIsCheckedBeforeItsJobStarts() async throws {
        let harness = try JobHarness()
        let root = try harness.add(randomText(byteCount: 300_000, seed: 44))
        let typo = try harness.add(Array("function map(key, value, emit) {\n  emit(value,\n".utf8), name: "f")
        var spec = harness.wordCount(root)
        spec.map = .file(typo)
        let service = JobService(store: harness.store, configuration: configuration(harness))
        await #expect {
            _ = try await service.submit(JobSubmission(spec: spec, functionNames: [typo: "wc.js"]))
        } throws: { error in
            (error as? JobServiceError)?.message.contains("wc.js:") == true
        }
    }

    @Test(.enabled(if: RunnableFunctions.javaScript))
    func whatAFunctionCanDoDecidesWhatGoesWithItsMap() async throws {
        let harness = try JobHarness()
        let library = FunctionLibrary(
            store: harness.store,
            workFolder: nil,
            gate: PolicyGate(Policy(), inPrivateNetwork: false)
        )
        let map = "export function map(key, value, emit) { emit(key) }\n"
        let reduce = "export function reduce(key, values, emit) {}\n"
        let combine = "export const combine = reduce\n"
        let reference = FunctionReference.file(CID.of([1], codec: .raw))
        for (text, roles, ownReduce, ownCombine) in [
            (map, [.map], false, false), (map + reduce, [.map, .reduce], true, false),
            (map + reduce + combine, [.map, .combine, .reduce], true, true),
        ] as [(String, Set<FunctionDescription.Role>, Bool, Bool)] {
            let description = try await library.describe(.bytes(Array(text.utf8)))
            #expect(description.engine == .javaScript)
            #expect(description.roles == roles)
            #expect(description.usesPosition)
            let own = FunctionDefaults(map: reference, description, reduce: nil)
            #expect(own.reduce == (ownReduce ? reference : .builtIn("identity")))
            #expect(own.combine == (ownCombine ? reference : nil))
            let sum = FunctionDefaults(map: reference, description, reduce: .builtIn("sum"))
            #expect(sum.combine == .builtIn("sum"))
        }
        let placeless = try await library.describe(.bytes(Array("function map(_, value, emit) {}".utf8)))
        #expect(!placeless.usesPosition)
        await #expect(throws: TaskFault.self) { _ = try await library.describe(.bytes(Array("map(".utf8))) }
    }

    @Test(
        "A process is started ahead for each function, and for the first in more slots",
        .enabled(if: RunnableFunctions.javaScript),
        arguments: [
            ([.javaScript], 1, 1), ([.javaScript], 0, 1), ([.javaScript], 2, 2),
            ([.webAssembly, .javaScript], 1, 2), ([.webAssembly, .javaScript], 2, 3), ([], 4, 0),
            ([.javaScript], 64, SpareProcesses.maxCount),
        ] as [([EngineKind], Int, Int)]
    )
    func processesAhead(_ engines: [EngineKind], slots: Int, count: Int) async throws {
        let library = FunctionLibrary(
            store: try JobHarness().store,
            workFolder: nil,
            gate: PolicyGate(Policy(), inPrivateNetwork: false)
        )
        library.expect(engines, slotsOfFirst: slots, limits: TaskLimits())
        #expect(library.spareCount == count)
        // Ends them.
        let running = Task { await library.run() }
        running.cancel()
        await running.value
        #expect(library.spareCount == 0)
    }

    @Test(.enabled(if: RunnableFunctions.javaScript))
    func badRecordsBeyondTheLimitFailTheJobAndAreNamed() async throws {
        let harness = try JobHarness()
        let script = "function map(key, line, emit) { if (line === 'bad') throw new Error('no'); emit(line) }"
        let file = try harness.add(Array(script.utf8), name: "f")
        let text =
            String(repeating: "good\n", count: 60_000) + "bad\n" + String(repeating: "x\n", count: 200_000)
        var spec = harness.wordCount(try harness.add(Array((text + "bad\n").utf8), name: "t"), reduces: 1)
        (spec.map, spec.combine, spec.reduce) = (.file(file), nil, .builtIn("count"))
        spec.recordFormat = .lines
        spec.skipBad = 2
        let allowed = try await harness.run(spec, configuration(harness))
        #expect(allowed.state == .succeeded, "\(allowed.failure?.message ?? "")")
        #expect(allowed.counters.badRecords == 2)
        spec.skipBad = 1
        let refused = try await harness.run(spec, configuration(harness))
        #expect(refused.state == .failed)
        #expect(
            refused.failure?.message.contains("2 records were skipped, and at most 1 may be: ") == true
                && refused.failure?.message.contains("at byte 300000") == true,
            "\(refused.failure?.message ?? "")"
        )
    }
}
