import Foundation
import Testing

/// How our programs end, read off the sources themselves.
struct ProcessEndTests {
    private static let sources = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Sources")

    @Test("No program ends by `exit`, whose destructors of libraries crash beside threads that are ending")
    func noDestructorsOfLibraries() throws {
        let files = FileManager.default.enumerator(atPath: Self.sources.path())?.compactMap { $0 as? String }
        let swift = try #require(files).filter { $0.hasSuffix(".swift") }
        #expect(!swift.isEmpty)
        let calls = try swift.flatMap { file in
            let text = try String(contentsOf: Self.sources.appending(path: file), encoding: .utf8)
            return text.split(separator: "\n")
                .filter { $0.firstMatch(of: /(?:^|[^_.\w`])exit\(/) != nil }
                .map { "\(file): \($0)" }
        }
        #expect(calls == [])
    }
}
