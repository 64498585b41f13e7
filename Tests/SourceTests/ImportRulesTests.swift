import Foundation
import Testing

/// The direction of dependencies, read off the sources themselves.
struct ImportRulesTests {
    private static let sources = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Sources")

    @Test(
        "Pure targets import nothing that can reach a clock, a socket or a file",
        arguments: ["Multiformats", "LibP2P", "MRProtocol"]
    )
    func pureTargets(target: String) throws {
        let allowed: Set = ["Multiformats", "LibP2P", "MRProtocol", "PeerCrypto"]
        for (file, module) in try imports(of: target) {
            #expect(allowed.contains(module), "\(file) imports \(module)")
        }
    }

    @Test("No target but the tests imports Foundation or Dispatch, which cost start-up time")
    func noFoundation() throws {
        for target in try FileManager.default.contentsOfDirectory(atPath: Self.sources.path()) {
            for (file, module) in try imports(of: target) {
                #expect(!["Foundation", "Dispatch"].contains(module), "\(file) imports \(module)")
            }
        }
    }

    @Test("The simulator cannot reach real input and output")
    func testKit() throws {
        for (file, module) in try imports(of: "PeerTestKit") {
            #expect(module != "PeerNode", "\(file) imports \(module)")
        }
    }

    /// Every import of a target, with the file it stands in.
    private func imports(of target: String) throws -> [(file: String, module: String)] {
        let folder = Self.sources.appending(path: target)
        let files = FileManager.default.enumerator(atPath: folder.path())?.compactMap { $0 as? String } ?? []
        let swift = files.filter { $0.hasSuffix(".swift") }
        return try swift.flatMap { file in
            let text = try String(contentsOf: folder.appending(path: file), encoding: .utf8)
            return text.matches(of: /(?m)^(?:@\w+ )?(?:public |package |internal )?import (?:struct |enum |class )?(\w+)/)
                .map { ("\(target)/\(file)", String($0.output.1)) }
        }
    }
}
