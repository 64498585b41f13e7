import MRProtocol
import Synchronization

/// The helper processes of a node that wait for the next attempt of their job, those of all jobs together.
///
/// A helper goes back only to the job that it was started for, never to another submitter's. One that was started to check
/// a function of this node's own user, and has run no attempt, goes to the job that comes next with that function. Beyond
/// the limit the one that nobody has used for longest ends; an attempt that would have had it starts another.
package final class IdleHelpers: Sendable {
    /// Helper processes that a node keeps while nobody uses them; beyond it the one unused for longest ends.
    package static let maxCount = 32

    /// Helpers among them that have checked a function: jobs in work come first.
    package static let maxCheckedCount = 2
    /// How long a helper waits at least for a job that names the function that it has checked.
    package static let checkedPatience = Duration.seconds(10)

    private enum Owner: Equatable {
        case job(ObjectIdentifier)
        /// Nobody's: it has checked a function.
        case check(since: ContinuousClock.Instant)
    }

    private struct Entry {
        var owner: Owner
        var helper: FunctionHelper

        /// It has checked a function, and is no job's.
        var isChecked: Bool { if case .check = owner { true } else { false } }
    }

    /// The one unused for longest first; handed over whole, never shared.
    private struct Entries: @unchecked Sendable {
        var all: [Entry] = []

        /// The one that has to end where there may be `maxCount`; `nil`: none.
        func surplus(_ maxCount: Int) -> Int? {
            if all.count(where: \.isChecked) > IdleHelpers.maxCheckedCount {
                return all.firstIndex(where: \.isChecked)
            }
            return all.count > maxCount ? all.startIndex : nil
        }
    }

    /// Processes that were started ahead of their functions.
    package let spares = SpareProcesses()
    private let maxCount: Int
    private let entries = Mutex(Entries())

    /// Keeps up to `maxCount` helpers.
    package init(maxCount: Int = IdleHelpers.maxCount) { self.maxCount = maxCount }

    /// Helpers that are kept.
    package var count: Int { entries.withLock(\.all.count) }

    /// The helper of `owner` for `function` that was used last, if there is one.
    func take(_ function: FunctionReference, of owner: JobFunctions) -> FunctionHelper? {
        let owner = Owner.job(ObjectIdentifier(owner))
        return take { $0.owner == owner && $0.helper.function.reference == function }
    }

    /// A helper that has checked `function`, and was started for as much memory.
    func takeChecked(_ function: FunctionReference, memoryByteLimit: UInt64) -> FunctionHelper? {
        take { entry in
            entry.isChecked && entry.helper.function.reference == function
                && entry.helper.memoryByteLimit == memoryByteLimit
        }
    }

    private func take(_ isWanted: (Entry) -> Bool) -> FunctionHelper? {
        entries.withLock { entries in
            let index = entries.all.lastIndex(where: isWanted)
            return Handover(helper: index.map { entries.all.remove(at: $0).helper })
        }.helper
    }

    /// Keeps a helper that is between two attempts; ends the one unused for longest when they are too many.
    func keep(_ helper: FunctionHelper, of owner: JobFunctions) {
        keep(Entry(owner: .job(ObjectIdentifier(owner)), helper: helper))
    }

    /// Keeps a helper that has checked a function, for `checkedPatience` if `endUnwanted` is called then.
    func keepChecked(_ helper: FunctionHelper) {
        keep(Entry(owner: .check(since: .now), helper: helper))
    }

    private func keep(_ entry: Entry) {
        let kept = Handover(helper: entry)
        let surplus = entries.withLock { entries in
            entries.all.append(kept.helper)
            return Handover(helper: entries.surplus(maxCount).map { entries.all.remove(at: $0) })
        }
        surplus.helper?.helper.close()
    }

    /// Ends all helpers of `owner`.
    func end(of owner: JobFunctions) {
        let owner = Owner.job(ObjectIdentifier(owner))
        end { $0 == owner }
    }

    /// Ends the helpers and spare processes that have waited long enough for a job.
    package func endUnwanted(now: ContinuousClock.Instant = .now) {
        spares.end(startedBy: now - IdleHelpers.checkedPatience)
        end { owner in
            guard case .check(let since) = owner else { return false }
            return since + IdleHelpers.checkedPatience <= now
        }
    }

    /// Ends the helpers and spare processes that wait for a job.
    package func endChecked() {
        spares.end(startedBy: .now)
        end { if case .check = $0 { true } else { false } }
    }

    private func end(_ isEnded: (Owner) -> Bool) {
        let ended = entries.withLock { entries in
            let ended = Handover(helper: entries.all.filter { isEnded($0.owner) })
            entries.all.removeAll { isEnded($0.owner) }
            return ended
        }
        for entry in ended.helper { entry.helper.close() }
    }

    /// Helpers on their way from one owner to the next.
    private struct Handover<Helper>: @unchecked Sendable {
        var helper: Helper
    }
}
