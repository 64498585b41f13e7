/// Time since this process's network began.
///
/// A `Duration` and not the clock's own instant, whose layout is known at run time only: whatever holds one is slower at every
/// touch of its members.
enum NetworkClock {
    private static let origin = ContinuousClock.now

    static var now: Duration { ContinuousClock.now - origin }
}
