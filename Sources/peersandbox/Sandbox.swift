import FunctionProtocol
import Glibc

/// The life of the process: confine, load one function, run its attempts until the node hangs up.
///
///     start ─► confined ─► warmed up ─► locked ─► function read ─► (begin … end ─► done | failed)* ─► node hangs up
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
        // A write that cannot be is an error where it is made.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        serve(runner, missing: runner.confine())
    }

    private static func serve(_ type: any Runner.Type, missing: [String]) -> Never {
        let channel = Channel()
        let runner = load(type, missing: missing, channel)
        while let frame = channel.receive() {
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
        _exit(0)
    }

    private static func load(_ type: any Runner.Type, missing: [String], _ channel: Channel) -> any Runner {
        guard let frame = channel.receive() else { _exit(0) }
        guard frame.kind == .prepare, let preparation = Preparation(body: frame.body) else {
            end(channel, because: "the first frame is not a preparation")
        }
        do throws(FunctionFault) {
            let runner = try type.init(preparation)
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
