// For each word that begins lines, the longest of these lines: a reduce that keeps one of the values.

final class LongestLines: Job {
    private var longest: [UInt8] = []

    func map(_ record: Bytes, value: Bytes?) {
        let word = record.prefix { !isSpace($0) }
        if !word.isEmpty { emit(word, record) }
    }

    func reduce(_ key: [UInt8], _ value: Bytes?) {
        guard let value, value.count > longest.count || longest.lexicographicallyPrecedes(value) && value.count == longest.count
        else { return }
        longest = Array(value)
    }

    func endKey(_ key: [UInt8]) {
        emit(key, longest)
        longest = []
    }

    func finishMap() {}
}

@_expose(wasm, "_initialize") @_cdecl("start")
func start() { job = LongestLines() }
