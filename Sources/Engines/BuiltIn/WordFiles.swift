import MRProtocol

/// Which files hold a word: what the map of `index` leaves after dropping repetitions.
final class WordFiles: PairStore {
    /// A file of a word, and the node of the file before it (0: none).
    private struct Node {
        var file: UInt32
        var previous: UInt32
    }

    private let partitionCount: Int
    /// Names of the files of the assignment, in byte order, each once.
    private let names: [[UInt8]]
    private let numbers: [[UInt8]: UInt32]
    private let table = WordTable()
    private var nodes = [Node(file: 0, previous: 0)]

    init(partitionCount: Int, names: Set<String>) {
        self.partitionCount = partitionCount
        let sorted = names.map { Array($0.utf8) }.sorted { $0.lexicographicallyPrecedes($1) }
        self.names = sorted
        numbers = Dictionary(uniqueKeysWithValues: zip(sorted, 0...))
    }

    var isEmpty: Bool { table.count == 0 }
    var byteCount: Int {
        table.byteCount + 2 * table.count * MemoryLayout<SortEntry>.stride + nodes.count
            * MemoryLayout<Node>.stride
    }

    /// The number that `add` takes for a file.
    func number(of name: String) -> UInt32 {
        numbers[Array(name.utf8)] ?? 0
    }

    /// Notes that a file holds the words of a batch.
    @inline(__always)
    func add(
        _ base: UnsafePointer<UInt8>,
        byteCount: Int,
        bounds: UnsafePointer<UInt32>,
        wordCount: Int,
        file: UInt32
    ) {
        var used = nodes.count
        table.add(base, byteCount: byteCount, bounds: bounds, wordCount: wordCount) { slot in
            let newest = Int(slot.pointee.payload)
            if newest != 0 && nodes[newest].file == file { return }
            nodes.append(Node(file: file, previous: UInt32(truncatingIfNeeded: newest)))
            slot.pointee.payload = UInt64(used)
            used += 1
        }
    }

    func drain(to run: RunFileWriter) throws(TaskFault) {
        var files: [UInt32] = []
        try table.forEachSorted(partitionCount: partitionCount, begin: { run.begin(partition: $0) }) {
            (key, slot) throws(TaskFault) in
            files.removeAll(keepingCapacity: true)
            var node = Int(slot.pointee.payload)
            while node != 0 {
                files.append(nodes[node].file)
                node = Int(nodes[node].previous)
            }
            try write(key, files: &files, to: run)
        }
        table.removeAll()
        nodes.removeLast(nodes.count - 1)
    }

    private func write(
        _ key: UnsafeRawBufferPointer,
        files: inout [UInt32],
        to run: RunFileWriter
    ) throws(TaskFault) {
        files.sort()
        var previous: UInt32?
        for file in files where file != previous {
            previous = file
            var fault: TaskFault?
            names[Int(file)].withUnsafeBytes { name in
                do throws(TaskFault) { try run.append(key: key, value: name) } catch { fault = error }
            }
            if let fault { throw fault }
        }
    }
}
