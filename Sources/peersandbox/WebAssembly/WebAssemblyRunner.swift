import FunctionProtocol

/// Runs functions that are WebAssembly modules: docs/wasm-abi.md.
final class WebAssemblyRunner: Runner {
    private let machine: WasmMachine
    private var skipLimit: UInt64
    private(set) var readiness: Readiness

    static var addressByteCount: UInt { ResourceLimit.maxModuleAddressByteCount }

    /// Starts the virtual machine.
    static func warmUp() {
        _ = try? WasmMachine([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], memoryByteLimit: 0)
    }

    init(_ preparation: Preparation) throws(FunctionFault) {
        readiness = try WasmInterface.check(preparation.program, preparation)
        skipLimit = preparation.skipLimit
        machine = try WasmMachine(preparation.program, memoryByteLimit: preparation.limits.memoryByteCount)
        try tryStart(preparation.arguments)
    }

    func reload(_ preparation: Preparation) throws(FunctionFault) {
        readiness = try WasmInterface.check(preparation.program, preparation)
        skipLimit = preparation.skipLimit
        try tryStart(preparation.arguments)
    }

    /// What fails at once fails before the job.
    private func tryStart(_ arguments: [(name: String, value: String)]) throws(FunctionFault) {
        machine.take(arguments: arguments)
        defer { machine.drop() }
        try machine.begin(seed: [])
        guard try machine.start() else {
            throw FunctionFault(.invalid, machine.trap.message, stack: machine.trap.stack)
        }
    }

    func execute(_ start: TaskStart, _ channel: Channel) throws(FunctionFault) {
        machine.channel = channel
        defer {
            machine.channel = nil
            machine.drop()
        }
        try machine.begin(seed: start.seed)
        try check(machine.start())
        if start.role == .map {
            var skipsLeft = skipLimit
            while let frame = try channel.next() {
                guard frame.kind == .records else { throw .malformedChunk }
                try map(WasmBatch(frame.body), &skipsLeft)
            }
        } else {
            while let frame = try channel.next() { try check(machine.take(frame.body, start.role)) }
        }
        try check(machine.end(start.role))
    }

    private func check(_ isWhole: Bool) throws(FunctionFault) {
        if !isWhole { throw machine.trap }
    }
}

// MARK: - Maps

extension WebAssemblyRunner {
    private func map(_ batch: WasmBatch, _ skipsLeft: inout UInt64) throws(FunctionFault) {
        if skipLimit > 0 { return try mapOneByOne(batch, &skipsLeft) }
        for piece in batch.pieces {
            let trap: FunctionFault
            do throws(FunctionFault) {
                if try map(batch, piece.range, at: piece.offset, isAlone: false) { continue }
                trap = machine.trap
            } catch {
                // What was emitted was no pairs.
                trap = error
            }
            throw try fault(in: batch, piece, trap)
        }
    }

    /// Each record ends what was held of it, so that an instance that traps takes nothing of others with it.
    private func mapOneByOne(_ batch: WasmBatch, _ skipsLeft: inout UInt64) throws(FunctionFault) {
        try machine.check()
        for record in batch.records {
            guard try !map(batch, record.range, at: record.offset, isAlone: true) else { continue }
            let fault = batch.describe(machine.trap, record)
            guard skipsLeft > 0 else { throw fault }
            skipsLeft -= 1
            machine.channel?.skipped(fault)
            try check(machine.start())
        }
    }

    /// The trap of a whole piece, told of the record that trapped: it is found by mapping them again one by one, and all
    /// that they emit is dropped.
    private func fault(in batch: WasmBatch, _ piece: WasmBatch.Piece, _ trap: FunctionFault)
        throws(FunctionFault) -> FunctionFault
    {
        try machine.beginSearch()
        guard try machine.start() else { return trap }
        let records = batch.records(in: piece)
        for record in records {
            Channel.getsOn()
            if try !map(batch, record.range, at: record.offset, isAlone: true) {
                return batch.describe(machine.trap, record)
            }
        }
        return batch.describe(trap, records.first)
    }

    /// Maps records at once, after it told the node where they begin.
    private func map(_ batch: WasmBatch, _ range: Range<Int>, at offset: UInt64, isAlone: Bool)
        throws(FunctionFault) -> Bool
    {
        machine.channel?.isAt(offset)
        return try batch.bytes.withUnsafeBufferPointer { bytes throws(FunctionFault) in
            try machine.map(
                UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[range]),
                of: batch.input,
                at: offset,
                format: batch.format.rawValue,
                isHeld: isAlone,
                isAlone: isAlone
            )
        }
    }
}
