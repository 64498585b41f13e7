import CJavaScriptCore
import Glibc

/// What a script is given, as values of its context.
extension ScriptContext {
    /// A string of `bytes`, whose fields end at `bounds`; these become units of the string.
    func string(
        _ bytes: inout [UInt8],
        _ encoding: TextEncoding,
        bounds: UnsafeMutableBufferPointer<Int32>? = nil
    ) -> JSValueRef? {
        if encoding == .bytes { return self.bytes(bytes) }
        if bytes.isPlainASCII {
            bytes.append(0)
            defer { bytes.removeLast() }
            return bytes.withUnsafeBytes { bytes in
                bytes.baseAddress.flatMap {
                    string(ScriptString(terminatedASCII: $0.assumingMemoryBound(to: CChar.self)))
                }
            }
        }
        var units: [UInt16] = []
        units.reserveCapacity(bytes.count)
        bytes.withUnsafeBytes { bytes in
            guard let bounds else { return encoding.append(bytes, to: &units) }
            var start = 0
            for index in bounds.indices where bounds[index] >= 0 {
                let end = Int(bounds[index])
                encoding.append(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), to: &units)
                bounds[index] = Int32(units.count)
                start = end
            }
        }
        return units.withUnsafeBufferPointer { string(ScriptString(units: $0)) }
    }

    /// A `Uint8Array` of its own.
    func bytes(_ bytes: [UInt8]) -> JSValueRef? {
        let array = JSObjectMakeTypedArray(reference, kJSTypedArrayTypeUint8Array, bytes.count, nil)
        elements(of: array, as: UInt8.self).withMemoryRebound(to: UInt8.self) { _ = $0.update(from: bytes) }
        return array
    }
}

extension [UInt8] {
    /// No byte is NUL or above 0x7F.
    fileprivate var isPlainASCII: Bool {
        withUnsafeBytes { bytes in
            bytes.isASCII && (bytes.baseAddress.map { memchr($0, 0, bytes.count) == nil } ?? true)
        }
    }
}
