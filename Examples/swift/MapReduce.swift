// Functions in Embedded Swift for a MapReduce node: docs/wasm-abi.md. Built by Examples/Makefile.
//
// Compile this file and memory.c together with the job's, which assigns `job` in `start()`:
//
//     struct MyJob: Job { … }
//     @_expose(wasm, "_initialize") @_cdecl("start") func start() { job = MyJob() }

// MARK: What a job is

typealias Bytes = UnsafeRawBufferPointer

/// A function: a fresh value of it works on each task.
protocol Job: AnyObject {
    /// A record of the input; `value` is there when it is a pair of an earlier result.
    func map(_ record: Bytes, value: Bytes?)
    /// A key and one of its values; all of a key come one after the other.
    func reduce(_ key: [UInt8], _ value: Bytes?)
    /// All values of a key have come.
    func endKey(_ key: [UInt8])
    /// Emit what the map still holds; called more than once.
    func finishMap()
}

nonisolated(unsafe) var job: (any Job)!

// MARK: What the host offers

@_extern(wasm, module: "mr", name: "emit") @_extern(c)
func hostEmit(_ pairs: UnsafeRawPointer?, _ count: Int32)
@_extern(wasm, module: "mr", name: "fail") @_extern(c)
func hostFail(_ text: UnsafeRawPointer?, _ count: Int32)
@_extern(wasm, module: "mr", name: "counter") @_extern(c)
func hostCount(
    _ group: UnsafeRawPointer?,
    _ groupCount: Int32,
    _ name: UnsafeRawPointer?,
    _ nameCount: Int32,
    _ amount: Int64
)

func fail(_ text: StaticString) -> Never {
    hostFail(text.utf8Start, Int32(text.utf8CodeUnitCount))
    fatalError()
}

func count(_ group: StaticString, _ name: StaticString, _ amount: Int64 = 1) {
    hostCount(
        group.utf8Start,
        Int32(group.utf8CodeUnitCount),
        name.utf8Start,
        Int32(name.utf8CodeUnitCount),
        amount
    )
}

// MARK: Output

/// Pairs are handed over in batches of this size.
let batchByteCount = 64 << 10
nonisolated(unsafe) var output: [UInt8] = []

func emit(_ key: some Collection<UInt8>, _ value: some Collection<UInt8>) {
    append(UInt32(key.count))
    append(UInt32(value.count))
    output.append(contentsOf: key)
    output.append(contentsOf: value)
    if output.count >= batchByteCount { flush() }
}

func emit(_ key: some Collection<UInt8>, _ number: Int64) { emit(key, decimal(number)) }

private func append(_ number: UInt32) {
    for shift in stride(from: UInt32(0), to: 32, by: 8) { output.append(UInt8(truncatingIfNeeded: number >> shift)) }
}

func flush() {
    output.withUnsafeBytes { if $0.count > 0 { hostEmit($0.baseAddress, Int32($0.count)) } }
    output.removeAll(keepingCapacity: true)
}

// MARK: Numbers

func decimal(_ number: Int64) -> [UInt8] {
    var digits: [UInt8] = []
    var left = number.magnitude
    repeat {
        digits.append(UInt8(48 + left % 10))
        left /= 10
    } while left > 0
    if number < 0 { digits.append(45) }
    digits.reverse()
    return digits
}

/// Reads a decimal number; fails the attempt when there is something else.
func number(_ text: Bytes?) -> Int64 {
    guard let text, text.count > 0 else { fail("a value is not a number") }
    let isNegative = text[0] == 45
    var number: Int64 = 0
    for digit in text.dropFirst(isNegative ? 1 : 0) {
        guard 48...57 ~= digit, number <= (Int64.max - 9) / 10 else { fail("a value is not a number") }
        number = 10 &* number &+ Int64(digit - 48)
    }
    return isNegative ? -number : number
}

func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (byte >= 9 && byte <= 13) }

// MARK: Exports

nonisolated(unsafe) private var input = UnsafeMutableRawBufferPointer(start: nil, count: 0)
nonisolated(unsafe) private var key: [UInt8]?

@_expose(wasm, "mr_abi_1") @_cdecl("mr_abi_1")
func isForVersion1() {}

@_expose(wasm, "mr_buffer") @_cdecl("mr_buffer")
func makeRoom(_ count: Int32) -> UnsafeMutableRawPointer? {
    if input.count < Int(count) || input.baseAddress == nil {
        input.deallocate()
        input = .allocate(byteCount: max(2 * Int(count), 64), alignment: 16)
    }
    return input.baseAddress
}

@_expose(wasm, "mr_map") @_cdecl("mr_map")
func map(_ start: UnsafeRawPointer?, _ count: Int32, _ format: Int32) {
    let batch = Bytes(start: start, count: Int(count))
    if format == 3 {
        forEachPair(batch) { job.map($0, value: $1) }
    } else {
        forEachRecord(batch, format) { job.map($0, value: nil) }
    }
}

@_expose(wasm, "mr_combine") @_cdecl("mr_combine")
func combine(_ start: UnsafeRawPointer?, _ count: Int32) { reduce(start, count) }

@_expose(wasm, "mr_reduce") @_cdecl("mr_reduce")
func reduce(_ start: UnsafeRawPointer?, _ count: Int32) {
    forEachPair(Bytes(start: start, count: Int(count))) { nextKey, value in
        var known = key
        if known == nil || !known!.elementsEqual(nextKey) {
            if let known { job.endKey(known) }
            known = Array(nextKey)
            key = known
        }
        job.reduce(known!, value)
    }
}

@_expose(wasm, "mr_end") @_cdecl("mr_end")
func end(_ role: Int32) {
    if role == 1 { job.finishMap() }
    if let last = key { job.endKey(last) }
    key = nil
    flush()
}

// MARK: Batches

private func forEachPair(_ batch: Bytes, _ body: (Bytes, Bytes?) -> Void) {
    var position = 0
    while position + 8 <= batch.count {
        let keyCount = Int(batch.loadUnaligned(fromByteOffset: position, as: UInt32.self))
        let mark = batch.loadUnaligned(fromByteOffset: position + 4, as: UInt32.self)
        let middle = position + 8 + keyCount
        let end = middle + (mark == .max ? 0 : Int(mark))
        body(
            Bytes(rebasing: batch[(position + 8)..<middle]),
            mark == .max ? nil : Bytes(rebasing: batch[middle..<end])
        )
        position = end
    }
}

private func forEachRecord(_ batch: Bytes, _ format: Int32, _ body: (Bytes) -> Void) {
    var position = 0
    while position < batch.count {
        if format == 2, isSpace(batch[position]) {
            position += 1
            continue
        }
        let start = position
        while position < batch.count, format == 2 ? !isSpace(batch[position]) : batch[position] != 10 {
            position += 1
        }
        let isCut = format == 1 && position < batch.count && position > start && batch[position - 1] == 13
        body(Bytes(rebasing: batch[start..<(isCut ? position - 1 : position)]))
        position += 1
    }
}
