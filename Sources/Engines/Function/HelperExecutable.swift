package import FunctionProtocol
import Glibc

/// Where the helper process's program lies.
package enum HelperExecutable {
    /// Its path: what `PEERSANDBOX` in the environment says, else `peersandbox` beside this program.
    ///
    /// - Throws: `sandbox` when there is none, saying where it was looked for.
    package static func path() throws(FunctionFault) -> String {
        if let override = getenv("PEERSANDBOX").map({ String(cString: $0) }), !override.isEmpty {
            return try executable(override, from: "the environment variable PEERSANDBOX names")
        }
        let own = [CChar](unsafeUninitializedCapacity: Int(PATH_MAX)) { buffer, count in
            count = max(0, buffer.baseAddress.map { readlink("/proc/self/exe", $0, buffer.count) } ?? 0)
        }
        let folder = own.lastIndex(of: CChar(bitPattern: UInt8(ascii: "/"))).map { own[...$0] } ?? own[...]
        let text = String(decoding: folder.map(UInt8.init(bitPattern:)), as: UTF8.self)
        return try executable(text + "peersandbox", from: "it is looked for beside this program:")
    }

    private static func executable(_ path: String, from source: String) throws(FunctionFault) -> String {
        guard access(path, X_OK) == 0 else {
            throw FunctionFault(
                .sandbox,
                "functions need the program peersandbox; \(source) \(path): \(String(cString: strerror(errno)))"
            )
        }
        return path
    }
}
