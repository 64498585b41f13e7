// Word count: how often each word occurs. Words are counted in a table while they pass, so that few pairs are emitted.

final class WordCount: Job {
    /// Words in the table; beyond, it is emitted.
    private static let mostWords = 1 << 14

    private struct Slot {
        var hash: UInt32 = 0
        var count = 0
        var start = 0
        var length = 0
    }

    private var slots = [Slot](repeating: Slot(), count: 2 * mostWords)
    private var words: [UInt8] = []
    private var wordCount = 0
    private var sum: Int64 = 0

    func map(_ record: Bytes, value: Bytes?) {
        var position = 0
        while true {
            while position < record.count, isSpace(record[position]) { position += 1 }
            guard position < record.count else { return }
            let start = position
            var hash: UInt32 = 0
            while position < record.count, !isSpace(record[position]) {
                hash = (hash ^ UInt32(record[position])) &* 0x9e37_79b1
                position += 1
            }
            add(Bytes(rebasing: record[start..<position]), hash ^ hash >> 15)
        }
    }

    private func add(_ word: Bytes, _ hash: UInt32) {
        var index = Int(hash & UInt32(slots.count - 1))
        while slots[index].count > 0 {
            if slots[index].hash == hash, isWord(slots[index], word) {
                slots[index].count += 1
                return
            }
            index = (index + 1) & (slots.count - 1)
        }
        slots[index] = Slot(hash: hash, count: 1, start: words.count, length: word.count)
        words.append(contentsOf: word)
        wordCount += 1
        if wordCount == WordCount.mostWords { finishMap() }
    }

    private func isWord(_ slot: Slot, _ word: Bytes) -> Bool {
        guard slot.length == word.count else { return false }
        for index in 0..<word.count where words[slot.start + index] != word[index] { return false }
        return true
    }

    func finishMap() {
        for index in slots.indices where slots[index].count > 0 {
            let slot = slots[index]
            emit(words[slot.start..<slot.start + slot.length], Int64(slot.count))
            slots[index].count = 0
        }
        words.removeAll(keepingCapacity: true)
        wordCount = 0
    }

    func reduce(_ key: [UInt8], _ value: Bytes?) { sum += number(value) }

    func endKey(_ key: [UInt8]) {
        emit(key, sum)
        sum = 0
    }
}

@_expose(wasm, "_initialize") @_cdecl("start")
func start() { job = WordCount() }
