import MRProtocol
import Multiformats
import Testing

@Suite("Map plan")
struct MapPlanTests {
    private static func leaf(_ number: Int) -> InputLeaf {
        InputLeaf(cid: CID.of(Array("leaf \(number)".utf8), codec: .raw), byteCount: 262_144)
    }

    private static func file(_ leaves: Range<Int>, name: String = "f") -> InputFile {
        InputFile(name: name, leaves: leaves.map(leaf))
    }

    private static func spec(_ map: String = "wc") -> JobSpec {
        JobSpec(
            map: .builtIn(map),
            combine: .builtIn("sum"),
            reduce: .builtIn("sum"),
            reduceCount: 4,
            recordFormat: .words,
            inputs: [JobInput(name: "f", root: CID.of([1], codec: .raw))]
        )
    }

    private static func plan(
        _ files: [InputFile],
        slots: Int = 2,
        usesPosition: Bool = false,
        lookUp: ((TaskKey) -> RememberedRun?)? = nil
    ) -> MapPlan {
        MapPlan(
            files: files,
            context: TaskKeyContext(mapsOf: spec(), engineVersion: "1", usesPosition: usesPosition),
            recordByteLimit: 1 << 20,
            slots: slots,
            lookUp: lookUp
        )
    }

    private static let remembered = RememberedRun.run(
        RememberedOutput(root: CID.of([9], codec: .raw), byteCount: 1, taskCount: 1, counters: TaskCounters())
    )

    @Test(arguments: [0, 1, 2, 15, 16, 17, 100, 1_000, 5_000], [1, 2, 16])
    func groupsCoverAllLeavesOnceInOrder(count: Int, slots: Int) {
        let files = count == 0 ? [] : [MapPlanTests.file(0..<count), MapPlanTests.file(0..<3, name: "g")]
        let plan = MapPlanTests.plan(files, slots: slots)
        #expect(plan.items.flatMap { Array($0.leaves) } == Array(0..<plan.leafCount))
        let assigned = plan.items.flatMap { plan.assignment(for: $0).segments.flatMap(\.leaves) }
        #expect(assigned == files.flatMap(\.leaves))
    }

    @Test(arguments: [20, 257, 2_000])
    func appendingKeepsAllGroupsButTheTail(count: Int) {
        var memory: Set<TaskKey> = []
        for item in MapPlanTests.plan([MapPlanTests.file(0..<count)]).items { memory.insert(item.key) }
        let files = [MapPlanTests.file(0..<count + 3)]
        let plan = MapPlanTests.plan(files) { memory.contains($0) ? MapPlanTests.remembered : nil }
        let fresh = plan.items.filter { $0.remembered == nil }.reduce(0) { $0 + $1.leaves.count }
        // The appended leaves, and the one whose record reads on into them.
        #expect(fresh <= 5, "\(fresh) leaves mapped again")
    }

    /// The group of the changed leaf and one neighbour, of at most 64 leaves each at this size.
    @Test func changeInTheMiddleIsLocal() {
        var memory: Set<TaskKey> = []
        for item in MapPlanTests.plan([MapPlanTests.file(0..<1_000)]).items { memory.insert(item.key) }
        var changed = MapPlanTests.file(0..<1_000)
        changed.leaves[500] = MapPlanTests.leaf(99_999)
        let plan = MapPlanTests.plan([changed]) { memory.contains($0) ? MapPlanTests.remembered : nil }
        let fresh = plan.items.filter { $0.remembered == nil }.reduce(0) { $0 + $1.leaves.count }
        #expect(fresh <= 128, "\(fresh) leaves mapped again")
    }

    @Test func equalBlocksDoNotFallIntoSingles() {
        let files = [InputFile(name: "zeros", leaves: Array(repeating: MapPlanTests.leaf(1), count: 10_000))]
        #expect(MapPlanTests.plan(files).items.count < 2_000)
    }

    @Test func lookaheadReachesAsFarAsTheLongestRecord() {
        let plan = MapPlanTests.plan([MapPlanTests.file(0..<40)], slots: 64)
        let first = plan.assignment(for: plan.items[0]).segments[0]
        // 1 MiB and a delimiter of two bytes reach into the fifth block.
        #expect(first.lookahead.count == 5)
        #expect(!first.reachesEndOfFile)
        let last = plan.assignment(for: plan.items[plan.items.count - 1]).segments[0]
        #expect(last.lookahead.isEmpty)
        #expect(last.reachesEndOfFile)
    }

    @Test func smallFilesShareGroups() {
        let files = (0..<2_000).map { MapPlanTests.file($0..<$0 + 1, name: "f\($0)") }
        let plan = MapPlanTests.plan(files)
        #expect(plan.items.count < 700)
        #expect(
            plan.items.allSatisfy { item in plan.assignment(for: item).segments.allSatisfy(\.reachesEndOfFile)
            }
        )
    }

    @Test func keyDependsOnTheNextLeafAndTheEndOfFile() {
        let whole = MapPlanTests.plan([MapPlanTests.file(0..<3)], slots: 64).items
        let shorter = MapPlanTests.plan([MapPlanTests.file(0..<2)], slots: 64).items
        var other = MapPlanTests.file(0..<3)
        other.leaves[1] = MapPlanTests.leaf(77)
        #expect(whole[0].key != shorter[0].key)
        #expect(whole[0].key != MapPlanTests.plan([other], slots: 64).items[0].key)
        #expect(whole[0].key == MapPlanTests.plan([MapPlanTests.file(0..<5)], slots: 64).items[0].key)
    }

    @Test func nameAndPlaceCountOnlyForMapsThatUseThem() {
        let one = [MapPlanTests.file(0..<1, name: "a")]
        let two = [MapPlanTests.file(0..<1, name: "b")]
        #expect(MapPlanTests.plan(one).items[0].key == MapPlanTests.plan(two).items[0].key)
        #expect(
            MapPlanTests.plan(one, usesPosition: true).items[0].key
                != MapPlanTests.plan(two, usesPosition: true).items[0].key
        )
    }

    @Test func outputThatReadOnIsFoundUnderItsSecondKey() {
        let files = [MapPlanTests.file(0..<6)]
        let cold = MapPlanTests.plan(files, slots: 64)
        let second = cold.key(of: cold.items[0], lookahead: 3)
        let plan = MapPlanTests.plan(files, slots: 64) { key in
            key == cold.items[0].key ? .readsOn(3) : key == second ? MapPlanTests.remembered : nil
        }
        #expect(plan.items[0].remembered == MapPlanTests.remembered)
        #expect(plan.items[0].key == second)
        #expect(plan.items[1].remembered == nil)
    }

    @Test func specificationSurvivesItsBlock() throws {
        var spec = MapPlanTests.spec("grep")
        spec.arguments = ["pattern": "a\u{0}é", "output": "count"]
        spec.combine = nil
        spec.reduce = .file(CID.of([4], codec: .raw))
        let decoded = try JobSpec(decoding: spec.encoded())
        #expect(decoded == spec)
        #expect(spec.cid.codec == .dagCBOR)
        #expect(throws: JobSpecFault.self) { _ = try JobSpec(decoding: [0xa0]) }
    }
}
