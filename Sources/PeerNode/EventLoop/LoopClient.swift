/// What the event loop calls on its thread without a task.
///
/// Calls are short, as jobs are: no connection moves meanwhile.
package protocol LoopClient: AnyObject, Sendable {
    /// The client's descriptor may be read or written again, or has ended.
    @NetworkActor func readinessChanged()

    /// The round's jobs have run, and the client had asked for a turn by `EventLoop.giveTurn(to:)`.
    @NetworkActor func takeTurn()
}
