import FunctionProtocol
import Glibc

/// The life of the process: confine, load one function, run its attempts until the node hangs up.
///
///     start ─► confined ─► warmed up ─► locked ─► function read ─► (prepare | begin … end ─► done | failed)* ─► node hangs up
enum Sandbox {
    /// Status of a process that was started wrongly.
    private static let usageStatus: Int32 = 2

    /// Runs until the node hangs up; `arguments[1]` is the engine's number (`EngineKind`).
    static func run(arguments: [String]) -> Never {
        guard arguments.count == 2, let engine = UInt8(arguments[1]).flatMap(EngineKind.init),
            let runner = engine.runner
        else {
            refuse("usage: peersandbox ENGINE; it is started by peernode and peerctl and is of no use alone")
        }
        guard fcntl(Channel.descriptor, F_GETFD) != -1 else {
            refuse(
                "descriptor \(Channel.descriptor) is not open; peersandbox is started by peernode and peerctl"
            )
        }
        guard Channel.page != nil else {
            refuse(
                "descriptor \(Channel.pageDescriptor) is no memory to share; peersandbox is started by peernode and peerctl"
            )
        }
        // A write that cannot be is an error where it is made.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        serve(runner, missing: runner.confine())
    }

    private static func serve(_ type: any Runner.Type, missing: [String]) -> Never {
        let channel = Channel()
        guard let first = channel.receive() else { _exit(0) }
        let preparation = preparation(in: first, channel)
        let runner = load(missing, channel) { () throws(FunctionFault) in try type.init(preparation) }
        runner.lookAhead()
        while let frame = channel.receive() {
            if frame.kind == .prepare {
                reload(runner, preparation.program, frame, missing, channel)
            } else {
                execute(runner, frame, channel)
            }
            runner.lookAhead()
        }
        _exit(0)
    }

    private static func execute(_ runner: any Runner, _ frame: Frame, _ channel: Channel) {
        guard frame.kind == .begin, let start = TaskStart(body: frame.body) else {
            end(channel, because: "a frame of kind \(frame.kind) between attempts")
        }
        channel.beginAttempt()
        do throws(FunctionFault) {
            try runner.execute(start, channel)
            channel.endAttempt()
        } catch {
            channel.failAttempt(error)
        }
    }

    /// A process has one function in its life; only what a job says of it can change.
    private static func reload(
        _ runner: any Runner,
        _ program: [UInt8],
        _ frame: Frame,
        _ missing: [String],
        _ channel: Channel
    ) {
        let preparation = preparation(in: frame, channel)
        guard preparation.program == program else {
            end(channel, because: "a second function in one process")
        }
        _ = load(missing, channel) { () throws(FunctionFault) in
            try runner.reload(preparation)
            return runner
        }
    }

    private static func preparation(in frame: Frame, _ channel: Channel) -> Preparation {
        guard frame.kind == .prepare, let preparation = Preparation(body: frame.body) else {
            end(channel, because: "a frame of kind \(frame.kind) that is no preparation")
        }
        return preparation
    }

    private static func load(
        _ missing: [String],
        _ channel: Channel,
        _ body: () throws(FunctionFault) -> any Runner
    ) -> any Runner {
        do throws(FunctionFault) {
            let runner = try body()
            var readiness = runner.readiness
            readiness.missing = missing + readiness.missing
            channel.send(.ready, readiness.body)
            return runner
        } catch {
            channel.send(.failed, error.body)
            _exit(1)
        }
    }

    private static func end(_ channel: Channel, because reason: String) -> Never {
        channel.send(.failed, FunctionFault(.protocolViolation, reason).body)
        _exit(1)
    }

    private static func refuse(_ reason: String) -> Never {
        let text = "peersandbox: \(reason)\n"
        write(STDERR_FILENO, text, text.utf8.count)
        _exit(usageStatus)
    }
}
