import MRProtocol
import Testing

@Suite("The level at which groups run")
struct RunLevelTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var leafCount: Int
        var slots: Int
        var builtIn: Int
        var function: Int

        var testDescription: String { "\(leafCount) leaves, \(slots) slots" }

        init(_ leafCount: Int, _ slots: Int, builtIn: Int, function: Int) {
            (self.leafCount, self.slots, self.builtIn, self.function) = (leafCount, slots, builtIn, function)
        }
    }

    static let cases = [
        Case(0, 1, builtIn: 0, function: 0),
        Case(31, 2, builtIn: 0, function: 0),
        Case(32, 2, builtIn: 0, function: 1),
        Case(127, 2, builtIn: 0, function: 1),
        Case(128, 2, builtIn: 1, function: 2),
        Case(511, 2, builtIn: 1, function: 2),
        Case(512, 2, builtIn: 2, function: 2),
        // Larger groups than these are not worth fewer of them.
        Case(2_047, 2, builtIn: 2, function: 2),
        Case(2_048, 2, builtIn: 3, function: 3),
        Case(8_192, 2, builtIn: 4, function: 4),
        Case(1 << 24, 2, builtIn: 4, function: 4),
        Case(8_192, 64, builtIn: 1, function: 2),
    ]

    @Test("Each slot gets 16 groups, or 4 of a user function as long as they are small", arguments: cases)
    func level(_ level: Case) {
        let (leafCount, slots) = (level.leafCount, level.slots)
        #expect(LeafGrouping.runLevel(leafCount: leafCount, slots: slots) == level.builtIn)
        #expect(
            LeafGrouping.runLevel(leafCount: leafCount, slots: slots, isUserFunction: true) == level.function
        )
    }
}
