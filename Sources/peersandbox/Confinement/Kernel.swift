import CLinux
import Glibc

/// The running kernel.
enum Kernel {
    /// It is Linux `major.minor` or later.
    static func isAtLeast(_ major: Int, _ minor: Int) -> Bool {
        var system = utsname()
        guard uname(&system) == 0 else { return false }
        let release = withUnsafeBytes(of: &system.release) { text in
            String(decoding: text.prefix { $0 != 0 }, as: UTF8.self)
        }
        let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        return numbers.count == 2 && (numbers[0], numbers[1]) >= (major, minor)
    }
}
