import Engines
import FunctionProtocol
import MRProtocol
import Testing

@Suite("Settings of functions")
struct FunctionSettingsTests {
    @Test(
        "Commands may be silent for 10 minutes and others for 1; what the job asks for holds for all",
        arguments: [
            (asked: nil, engine: .command, limit: 600_000),
            (asked: nil, engine: .javaScript, limit: 60_000),
            (asked: nil, engine: .webAssembly, limit: 60_000),
            (asked: 5_000, engine: .command, limit: 5_000),
            (asked: 1_200_000, engine: .command, limit: 1_200_000),
            (asked: 120_000, engine: .javaScript, limit: 120_000),
        ] as [(asked: UInt64?, engine: EngineKind, limit: UInt64)]
    )
    func silence(asked: UInt64?, engine: EngineKind, limit: UInt64) {
        var limits = TaskLimits()
        limits.stallMilliseconds = asked
        let settings = FunctionSettings(limits: limits, skipBad: 0, arguments: [:])
        var wanted = FunctionLimits()
        wanted.stallMilliseconds = limit
        #expect(settings.limits(for: engine) == wanted)
    }
}
