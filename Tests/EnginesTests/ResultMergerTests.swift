import Engines
import MRProtocol
import PeerTestKit
import Testing

@Suite("Merging the parts of a result") struct ResultMergerTests {
    private func merged(_ parts: [String], rule: KeyRule?) throws -> String {
        var output: [UInt8] = []
        try ResultMerger.merge(parts.map { MemoryFile(Array($0.utf8)) }, rule: rule) { output += $0 }
        return String(decoding: output, as: UTF8.self)
    }

    /// By FNV-1a 64 as computed outside of this project, `k0` and `k2` are in part 0 of two, `k1` and `k3` in part 1.
    @Test("a job that is not known is merged by the rule that explains where its lines are")
    func unknownJob() throws {
        #expect(
            try merged(["k0\t7\nk2\t1\n", "k1\t9\nk3\t2\n"], rule: nil) == "k0\t7\nk1\t9\nk2\t1\nk3\t2\n"
        )
    }

    @Test("parts that no partition by key explains follow one another")
    func unparted() throws {
        #expect(try merged(["k1\nk3\nz\n", "k0\nk2\na\n"], rule: nil) == "k1\nk3\nz\nk0\nk2\na\n")
        #expect(try merged(["", "b\na\n", ""], rule: nil) == "b\na\n")
    }

    @Test("values of one key keep their order, whatever their bytes")
    func knownJob() throws {
        #expect(try merged(["b\tz\nb\ty\n", "a\t\n"], rule: .beforeLastTab) == "a\t\nb\tz\nb\ty\n")
    }
}
