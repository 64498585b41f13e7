/// What a reduce or a combine makes of the values of one key (docs/builtins.md).
enum FoldKind: Equatable {
    case identity
    case sum
    case count
    case min
    case max
    case list
    case distinct
    /// What the front of the key says, as Hadoop Streaming's reducer of that name.
    case aggregate
    /// The pairs with the greatest sums, `count` of them.
    case top(count: Int)

    /// The fold of that name; `top` takes an argument and has none.
    init?(name: String) {
        switch name {
        case "identity": self = .identity
        case "sum": self = .sum
        case "count": self = .count
        case "min": self = .min
        case "max": self = .max
        case "list": self = .list
        case "distinct": self = .distinct
        case "aggregate": self = .aggregate
        default: return nil
        }
    }

    /// Running it on part of the values first, any number of times, changes nothing in the end.
    var isCombine: Bool {
        switch self {
        case .sum, .min, .max, .distinct, .aggregate: true
        case .identity, .count, .list, .top: false
        }
    }
}
