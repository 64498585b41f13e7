import CFuzzer
import Glibc
import PeerTestKit

// usage: FUZZ_BODY=NAME Fuzz [libFuzzer's options and corpus folders]; without FUZZ_BODY: lists the names.

/// The body that this process runs; set once, before the first input.
nonisolated(unsafe) private var body: @Sendable (UnsafeRawBufferPointer) -> Void = { _ in }

private func runOnce(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    body(UnsafeRawBufferPointer(start: bytes, count: count))
    return 0
}

let name = getenv("FUZZ_BODY").map { String(cString: $0) } ?? ""
guard let chosen = FuzzBodies.all.first(where: { $0.name == name }) else {
    for body in FuzzBodies.all { print(body.name) }
    exit(name.isEmpty ? 0 : 2)
}
body = chosen.body
var argumentCount = CommandLine.argc
var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
exit(LLVMFuzzerRunDriver(&argumentCount, &arguments, { runOnce($0, $1) }))
