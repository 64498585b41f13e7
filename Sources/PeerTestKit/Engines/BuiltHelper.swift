import Glibc

/// The helper program that the same build made.
package enum BuiltHelper {
    /// Its path, or `nil` when it was not built.
    ///
    /// Asked for first, it also lets `FunctionProcess` find it: the program that runs tests lies elsewhere than what
    /// was built.
    package static let path: String? = {
        guard let path = folders.map({ $0 + "/peersandbox" }).first(where: { access($0, X_OK) == 0 }) else {
            return nil
        }
        setenv("PEERSANDBOX", path, 0)
        return path
    }()

    /// Folders of the test bundle, which the test runner is told by argument, and of this program.
    private static var folders: [String] {
        let arguments = CommandLine.arguments
        let bundle = arguments.firstIndex(of: "--test-bundle-path").map { $0 + 1 }
        let files = [bundle.flatMap { $0 < arguments.count ? arguments[$0] : nil }, arguments.first]
        return files.compactMap { file in
            file?.lastIndex(of: "/").map { String(file?[..<$0] ?? "") }
        }
    }
}
