import BlockStore
import Engines
import MRProtocol
import Multiformats

// What merges and reduces read: the outputs of the stage before, all of them or nothing.

extension ActiveJob {
    /// One run that stands for the outputs of several map items.
    struct MergedRun {
        var run: any RunBytes
        var items: [Int]
    }

    struct ReduceInputs {
        var runs: [any RunBytes] = []
        /// For each run the items whose outputs it holds.
        var items: [[Int]] = []
    }

    /// The outputs that a merge or reduce reads, in input order; `nil` when one of them is not there.
    func runs(for item: WorkItem) -> [any RunBytes]? {
        guard item.stage < outputs.count - 1 else { return inputsOfReduces()?.runs }
        let before = outputs[item.stage - 1]
        let start = item.index * CoordinatorLimits.mergeFanIn
        let read = before[start..<min(before.count, start + CoordinatorLimits.mergeFanIn)]
        let runs = read.compactMap { $0?.run }
        return runs.count == read.count ? runs : nil
    }

    /// The same as files that other nodes can fetch, those in this node's store from `here`; `nil` when one of them is not
    /// there, or in memory alone.
    func files(for item: WorkItem, here: PeerID) -> [StoredFile]? {
        guard let runs = runs(for: item) else { return nil }
        let files = runs.compactMap { run in
            run.fileRoot.map { root in
                let holder = (run as? RemoteRun)?.reference.holder ?? here
                return StoredFile(root: root, byteCount: run.byteCount, holders: [holder])
            }
        }
        return files.count == runs.count ? files : nil
    }

    /// A merged run stands where its first item does.
    private func inputsOfReduces() -> ReduceInputs? {
        if let reduceInputs { return reduceInputs }
        let merged = Dictionary(
            mergedRuns.flatMap { merged in merged.items.map { ($0, merged) } },
            uniquingKeysWith: { first, _ in first }
        )
        var inputs = ReduceInputs()
        for (index, output) in outputs[outputs.count - 2].enumerated() {
            guard let run = merged[index]?.run ?? output?.run else { return nil }
            let items = merged[index]?.items ?? [index]
            guard items.first == index else { continue }
            inputs.runs.append(run)
            inputs.items.append(items)
        }
        // Of runs of other nodes only their word is known.
        status.reduceInputByteCount = inputs.runs.reduce(0) { $0.addingClamped($1.byteCount) }
        reduceInputs = inputs
        return inputs
    }

    /// Has a merged run stand for the outputs that it was made of.
    ///
    /// - Returns: `false` when one of them is another by now; then it stands for nothing.
    func addMergedRun(_ run: any RunBytes, of kept: [KeptRun]) -> Bool {
        let isCurrent = kept.allSatisfy(has)
        if isCurrent { mergedRuns.append(MergedRun(run: run, items: kept.map(\.index))) }
        return isCurrent
    }

    /// Whether an output is still the one that a worker keeps.
    func has(_ kept: KeptRun) -> Bool {
        (outputs[0][kept.index]?.run as? RemoteRun)?.reference == kept.run
    }

    /// Has a file stand for a run in memory, unless the output is another by now.
    func replace(_ run: MemoryRun, of item: WorkItem, by file: any RunBytes) {
        guard var output = outputs[item.stage][item.index], output.run as? MemoryRun === run else { return }
        output.file = .run(file)
        set(output, of: item)
    }

    /// Forgets what was put together for the reduces, since the output of an item of the stage before is gone.
    ///
    /// A merge or a sharing that is still running finds out by `inputGeneration`.
    func dropReduceInputs(madeOf index: Int) {
        inputGeneration += 1
        if merging == .done { merging = .none }
        if sharing == .done { sharing = .none }
        mergedRuns.removeAll { $0.items.contains(index) }
    }

    /// Indexes within the stage before `item` of outputs that a fault says are lost.
    func lostInputs(of item: WorkItem, _ fault: TaskFault) -> [Int] {
        guard item.stage > 0 else { return [] }
        let readsMerged = item.stage == outputs.count - 1
        let first = readsMerged ? 0 : item.index * CoordinatorLimits.mergeFanIn
        switch fault {
        case .malformedMapOutput(let index, _):
            guard readsMerged else { return [first + index] }
            guard let items = inputsOfReduces()?.items, items.indices.contains(index) else { return [] }
            return items[index]
        case .mapOutputUnavailable(let cid, _):
            if let merged = mergedRuns.first(where: { $0.run.fileRoot == cid }) { return merged.items }
            return outputs[item.stage - 1].indices.filter { index in
                outputs[item.stage - 1][index]?.run?.fileRoot == cid
            }
        default: return []
        }
    }

    /// The workers that may be why an attempt could not read outputs: those that made them, and the one that says so.
    ///
    /// From here it cannot be told which of two others lies. This node does not doubt itself.
    func doubtfulWorkers(_ fault: TaskFault, of attempt: Attempt, lost: [Int]) -> [WorkerID] {
        guard fault.concernsInputRuns, !lost.isEmpty else { return [] }
        var doubtful: Set = [attempt.worker]
        for index in lost {
            let item = WorkItem(stage: attempt.item.stage - 1, index: index)
            let merged = item.stage == 0 ? mergedRuns.first { $0.items.contains(index) } : nil
            let run = merged?.run ?? outputs[item.stage][index]?.run
            if case .mapOutputUnavailable = fault, !(run is RemoteRun) { continue }
            if let maker = makers[item] { doubtful.insert(maker) }
        }
        doubtful.remove(JobService.selfWorker)
        return doubtful.sorted()
    }
}

extension TaskOutput {
    /// The CID of the output, which is computed where it is in memory.
    var root: CID? {
        switch file {
        case .part(let part): part.cid
        case .run(let run as MemoryRun): run.root
        case .run(let run): run.fileRoot
        }
    }
}

extension RunBytes {
    /// The CID of a run that is a file, here or elsewhere.
    var fileRoot: CID? {
        switch self {
        case let run as StoredRun: run.root
        case let run as RemoteRun: run.reference.root
        case let run as HeldRun: run.root
        default: nil
        }
    }
}
