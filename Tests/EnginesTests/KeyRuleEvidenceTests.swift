import Engines
import MRProtocol
import Testing

@Suite("Merge rule of a result whose job is not known") struct KeyRuleEvidenceTests {
    /// Lines with their parts of two, by FNV-1a 64 of the key as computed outside of this project.
    private func rules(_ lines: [(String, Int)]) -> [KeyRule] {
        var evidence = KeyRuleEvidence(partCount: 2)
        // A part is in key order.
        for (line, part) in lines.sorted(by: { ($0.1, $0.0) < ($1.1, $1.0) }) {
            evidence.add(Array(line.utf8)[...], part: part)
        }
        return evidence.fitting
    }

    @Test(
        "where the key ends in a line",
        arguments: [
            (KeyRule.wholeLine, "a\tb\t1", "a\tb\t1"), (.beforeLastTab, "a\tb\t1", "a\tb"),
            (.beforeFirstTab, "a\tb\t1", "a"), (.escaped, "a\\tb\\\\\t1", "a\tb\\"),
            (.escaped, "a\\x\t1", "a\\x"),
            (.beforeLastTab, "alone", "alone"), (.beforeFirstTab, "", ""),
        ]
    )
    func key(rule: KeyRule, line: String, key: String) {
        #expect(Array(rule.key(of: Array(line.utf8)[...])) == Array(key.utf8))
    }

    @Test("lines in the parts of their keys leave the rule that put them there")
    func fitting() {
        let beforeLastTab = rules([
            ("k0\tx0\t0", 1), ("k1\tx7\t1", 1), ("k2\tx14\t2", 0), ("k3\tx21\t3", 1),
            ("k4\tx28\t4", 1), ("k5\tx35\t0", 0), ("k6\tx42\t1", 1), ("k7\tx49\t2", 1),
            ("k8\tx56\t3", 0), ("k9\tx63\t4", 1), ("k10\tx70\t0", 1), ("k11\tx77\t1", 1),
        ])
        #expect(beforeLastTab == [.beforeLastTab])
        let beforeFirstTab = rules([
            ("k0\tx0\t0", 0), ("k1\tx7\t1", 1), ("k2\tx14\t2", 0), ("k3\tx21\t3", 1),
            ("k4\tx28\t4", 0), ("k5\tx35\t0", 1), ("k6\tx42\t1", 0), ("k7\tx49\t2", 1),
            ("k8\tx56\t3", 0), ("k9\tx63\t4", 1), ("k10\tx70\t0", 1), ("k11\tx77\t1", 0),
        ])
        #expect(beforeFirstTab == [.beforeFirstTab, .escaped])
        let wholeLine = rules([
            ("k0\tx0\t0", 0), ("k1\tx7\t1", 1), ("k2\tx14\t2", 1), ("k3\tx21\t3", 1),
            ("k4\tx28\t4", 0), ("k5\tx35\t0", 1), ("k6\tx42\t1", 1), ("k7\tx49\t2", 0),
            ("k8\tx56\t3", 0), ("k9\tx63\t4", 0), ("k10\tx70\t0", 0), ("k11\tx77\t1", 1),
        ])
        #expect(wholeLine == [.wholeLine])
        #expect(rules([("same", 1), ("same", 0)]).isEmpty)
    }

    /// All lines are where all rules put them: `a`, `a\tb` and `a\tb\tc` are in one part of one.
    @Test("a rule by which a part is out of order is none")
    func order() {
        func fitting(_ lines: [String]) -> [KeyRule] {
            var evidence = KeyRuleEvidence(partCount: 1)
            for line in lines { evidence.add(Array(line.utf8)[...], part: 0) }
            return evidence.fitting
        }
        #expect(fitting(["a\tb\tc", "a\tc"]) == [.beforeFirstTab, .wholeLine, .escaped])
        #expect(fitting(["a\tc", "a\tb\tc"]) == [.beforeLastTab, .beforeFirstTab, .escaped])
        #expect(fitting(["b", "a"]).isEmpty)
    }

    @Test("a combine of the user's, or pairs of a file, leave the rule to the lines")
    func unknown() {
        func rule(_ map: String, combine: FunctionReference? = nil, _ reduce: String, _ format: RecordFormat)
            -> KeyRule?
        {
            KeyRule(
                of: JobSpec(
                    map: .builtIn(map),
                    combine: combine,
                    reduce: .builtIn(reduce),
                    reduceCount: 3,
                    recordFormat: format,
                    arguments: [:],
                    inputs: []
                )
            )
        }
        #expect(rule("identity", "identity", .kv) == nil)
        #expect(rule("identity", "count", .kv) == .beforeLastTab)
        #expect(rule("identity", "identity", .lines) == .wholeLine)
        #expect(rule("sort", combine: .command("cat"), "identity", .lines) == nil)
        #expect(rule("count", combine: .builtIn("sum"), "max", .lines) == .beforeLastTab)
        #expect(rule("wc", combine: .command("cat"), "list", .words) == .beforeFirstTab)
    }
}
