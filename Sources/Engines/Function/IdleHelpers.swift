import MRProtocol
import Synchronization

/// The helper processes of a node that wait for the next attempt of their job, those of all jobs together.
///
/// A helper goes back only to the job that it was started for, never to another submitter's. Beyond the limit the one that
/// nobody has used for longest ends; an attempt that would have had it starts another.
package final class IdleHelpers: Sendable {
    /// Helper processes that a node keeps while nobody uses them; beyond it the one unused for longest ends.
    package static let maxCount = 32

    private struct Entry {
        var owner: ObjectIdentifier
        var helper: FunctionHelper
    }

    /// The one unused for longest first; handed over whole, never shared.
    private struct Entries: @unchecked Sendable {
        var all: [Entry] = []
    }

    private let maxCount: Int
    private let entries = Mutex(Entries())

    /// Keeps up to `maxCount` helpers.
    package init(maxCount: Int = IdleHelpers.maxCount) { self.maxCount = maxCount }

    /// Helpers that are kept.
    package var count: Int { entries.withLock(\.all.count) }

    /// The helper of `owner` for `function` that was used last, if there is one.
    func take(_ function: FunctionReference, of owner: JobFunctions) -> FunctionHelper? {
        let owner = ObjectIdentifier(owner)
        return entries.withLock { entries in
            let index = entries.all.lastIndex {
                $0.owner == owner && $0.helper.function.reference == function
            }
            return Handover(helper: index.map { entries.all.remove(at: $0).helper })
        }.helper
    }

    /// Keeps a helper that is between two attempts; ends the one unused for longest when they are too many.
    func keep(_ helper: FunctionHelper, of owner: JobFunctions) {
        let kept = Handover(helper: Entry(owner: ObjectIdentifier(owner), helper: helper))
        let surplus = entries.withLock { entries in
            entries.all.append(kept.helper)
            return Handover(helper: entries.all.count > maxCount ? entries.all.removeFirst() : nil)
        }
        surplus.helper?.helper.close()
    }

    /// Ends all helpers of `owner`.
    func end(of owner: JobFunctions) {
        let owner = ObjectIdentifier(owner)
        let ended = entries.withLock { entries in
            let ended = Handover(helper: entries.all.filter { $0.owner == owner })
            entries.all.removeAll { $0.owner == owner }
            return ended
        }
        for entry in ended.helper { entry.helper.close() }
    }

    /// Helpers on their way from one owner to the next.
    private struct Handover<Helper>: @unchecked Sendable {
        var helper: Helper
    }
}
