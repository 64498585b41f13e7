import CJavaScriptCore

/// A string of JavaScriptCore.
final class ScriptString {
    let reference: JSStringRef?

    init(_ text: String) {
        let units = Array(text.utf16)
        reference = JSStringCreateWithCharacters(units, units.count)
    }

    init(units: UnsafeBufferPointer<UInt16>) {
        reference = JSStringCreateWithCharacters(units.baseAddress, units.count)
    }

    /// A string of eight bits a unit.
    ///
    /// - Precondition: `bytes` is ASCII without NUL, and a NUL is behind it.
    init(terminatedASCII bytes: UnsafePointer<CChar>) {
        reference = JSStringCreateWithUTF8CString(bytes)
    }

    /// A value as a string; `nil` when it has no text, or its text throws.
    init?(of value: JSValueRef, in context: ScriptContext) {
        guard let copy = JSValueToStringCopy(context.reference, value, nil) else { return nil }
        reference = copy
    }

    deinit { JSStringRelease(reference) }

    /// Number of UTF-16 units.
    var count: Int { JSStringGetLength(reference) }

    /// Its units; wide ones are made when it has narrow ones.
    var units: UnsafeBufferPointer<UInt16> {
        UnsafeBufferPointer(start: JSStringGetCharactersPtr(reference), count: count)
    }

    /// Its text; unpaired surrogates are replaced.
    var text: String { String(decoding: units, as: UTF16.self) }

    /// Copies the string into `target` if it is ASCII.
    ///
    /// - Precondition: `target` has `ScriptString.tailCount` more bytes than the string has units.
    /// - Returns: `false` when it is not, and `target` has arbitrary bytes then.
    func copyASCII(to target: UnsafeMutableBufferPointer<CChar>) -> Bool {
        // What does not fit is cut, and what is malformed ends early: the count alone does not tell.
        guard JSStringGetUTF8CString(reference, target.baseAddress, target.count) == count + 1 else {
            return false
        }
        return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(target)[..<count]).isASCII
    }

    /// For a character of four bytes, and the NUL behind the string.
    static let tailCount = 5
}

extension UnsafeRawBufferPointer {
    /// No byte is above 0x7F.
    var isASCII: Bool {
        var position = 0
        var bits: UInt64 = 0
        while position + 8 <= count {
            bits |= loadUnaligned(fromByteOffset: position, as: UInt64.self)
            position += 8
        }
        while position < count {
            bits |= UInt64(self[position])
            position += 1
        }
        return bits & 0x8080_8080_8080_8080 == 0
    }
}
