import CPCRE2
import MRProtocol

/// A Perl-compatible expression, matched against the bytes of one line as `LC_ALL=C grep -P` does.
final class LineMatcher {
    /// Steps that one line may cost before the attempt fails.
    static let matchLimit: UInt32 = 10_000_000
    private static let firstStackByteCount = 32 << 10
    private static let maxStackByteCount = 4 << 20

    private let code: OpaquePointer
    private let data: OpaquePointer
    private let context: OpaquePointer
    private let stack: OpaquePointer?
    private let isCompiled: Bool

    /// Compiles `pattern`.
    ///
    /// - Throws: `TaskFault.argument` with the message of PCRE2.
    init(pattern: String) throws(TaskFault) {
        var number: Int32 = 0
        var position = 0
        let bytes = Array(pattern.utf8)
        let options = UInt32(PCRE2_NEVER_UTF) | UInt32(PCRE2_DOLLAR_ENDONLY)
        let compiled = pcre2_compile_8(bytes, bytes.count, options, &number, &position, nil)
        guard let code = compiled else {
            let reason = "\(LineMatcher.message(number)) at byte \(position)"
            throw .argument(name: "pattern", reason: reason)
        }
        guard let data = pcre2_match_data_create_8(1, nil), let context = pcre2_match_context_create_8(nil)
        else {
            pcre2_code_free_8(code)
            throw .argument(name: "pattern", reason: "no memory to match it")
        }
        self.code = code
        self.data = data
        self.context = context
        pcre2_set_match_limit_8(context, LineMatcher.matchLimit)
        isCompiled = pcre2_jit_compile_8(code, UInt32(PCRE2_JIT_COMPLETE)) == 0
        stack = pcre2_jit_stack_create_8(LineMatcher.firstStackByteCount, LineMatcher.maxStackByteCount, nil)
        if let stack { pcre2_jit_stack_assign_8(context, nil, UnsafeMutableRawPointer(stack)) }
    }

    deinit {
        if let stack { pcre2_jit_stack_free_8(stack) }
        pcre2_match_context_free_8(context)
        pcre2_match_data_free_8(data)
        pcre2_code_free_8(code)
    }

    /// Whether the expression matches somewhere in a line, given without its delimiter.
    ///
    /// - Returns: `nil` with no match; otherwise `true`, or a message when the line is over a limit of PCRE2.
    @inline(__always)
    func match(_ line: UnsafePointer<UInt8>, byteCount: Int) -> Outcome {
        let result =
            isCompiled
            ? pcre2_jit_match_8(code, line, byteCount, 0, 0, data, context)
            : pcre2_match_8(code, line, byteCount, 0, 0, data, context)
        if result >= 0 { return .match }
        return result == PCRE2_ERROR_NOMATCH ? .noMatch : .failure(result)
    }

    /// What became of a line.
    enum Outcome: Equatable {
        case match
        case noMatch
        /// PCRE2 gave up with this error.
        case failure(Int32)
    }

    /// The text of an error of PCRE2.
    static func message(_ number: Int32) -> String {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 256) { buffer in
            let count = pcre2_get_error_message_8(number, buffer.baseAddress, buffer.count)
            return count > 0 ? String(decoding: buffer[..<Int(count)], as: UTF8.self) : "error \(number)"
        }
    }
}
