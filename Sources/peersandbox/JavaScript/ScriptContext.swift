import CJavaScriptCore
import FunctionProtocol

/// One global object of JavaScriptCore, with what is needed to evaluate and to call.
///
/// The collector finds values in the context and on the stack, but not in this program's heap: what is stored there, be
/// it in an array, is kept with `keep` if anything is allocated before it is used.
final class ScriptContext {
    typealias Value = JSValueRef

    /// A value that was thrown.
    struct Exception: Error {
        nonisolated(unsafe) let value: Value
    }

    /// The virtual machine of this process: one is enough, and the first costs milliseconds.
    nonisolated(unsafe) static let group: JSContextGroupRef? = JSContextGroupCreate()

    let reference: JSGlobalContextRef
    /// What native functions call; kept as long as the context can call them.
    private var natives: [NativeFunction] = []
    private var kept: [Value] = []
    private var tellsRejections = false

    init() {
        guard let reference = JSGlobalContextCreateInGroup(ScriptContext.group, nil) else {
            preconditionFailure("JavaScriptCore made no context")
        }
        self.reference = reference
    }

    deinit {
        if tellsRejections {
            JSGlobalContextSetUnhandledRejectionCallback(reference, ScriptContext.nobody, nil)
        }
        for value in kept { JSValueUnprotect(reference, value) }
        JSGlobalContextRelease(reference)
    }

    var global: JSObjectRef? { JSContextGetGlobalObject(reference) }

    func evaluate(_ source: ScriptString, url: ScriptString) throws(Exception) -> Value? {
        var exception: Value?
        let result = withExtendedLifetime((source, url)) {
            JSEvaluateScript(reference, source.reference, nil, url.reference, 1, &exception)
        }
        if let exception { throw Exception(value: exception) }
        return result
    }

    /// Evaluates own text.
    func evaluate(own source: ScriptString) throws(Exception) -> Value? {
        try evaluate(source, url: ScriptContext.noURL)
    }

    nonisolated(unsafe) private static let noURL = ScriptString("")

    func call(_ function: JSObjectRef?, _ arguments: [Value?]) throws(Exception) -> Value? {
        var exception: Value?
        let result = JSObjectCallAsFunction(reference, function, nil, arguments.count, arguments, &exception)
        if let exception { throw Exception(value: exception) }
        return result
    }

    /// Keeps a value until the context ends.
    func keep(_ value: Value?) {
        guard let value else { return }
        JSValueProtect(reference, value)
        kept.append(value)
    }
}

// MARK: - Values

extension ScriptContext {
    var undefined: Value? { JSValueMakeUndefined(reference) }

    func number(_ number: some BinaryInteger) -> Value? { JSValueMakeNumber(reference, Double(number)) }
    func boolean(_ flag: Bool) -> Value? { JSValueMakeBoolean(reference, flag) }
    func string(_ text: String) -> Value? { string(ScriptString(text)) }
    func string(_ string: ScriptString) -> Value? {
        withExtendedLifetime(string) { JSValueMakeString(reference, string.reference) }
    }

    /// An array, kept until the context ends.
    func array(_ elements: some Collection<Value?>) -> JSObjectRef? {
        let array = JSObjectMakeArray(reference, 0, nil, nil)
        keep(array)
        for (index, element) in elements.enumerated() {
            JSObjectSetPropertyAtIndex(reference, array, UInt32(index), element, nil)
        }
        return array
    }

    /// What random numbers begin with: eight words of 32 bits, on which every byte of a seed has an influence.
    func seed(_ bytes: [UInt8]) -> JSObjectRef? {
        var words = [UInt32](repeating: 0, count: 8)
        for (index, byte) in bytes.enumerated() {
            let word = words[index / 4 % 8]
            words[index / 4 % 8] = (word &<< 8 | word &>> 24) ^ UInt32(byte)
        }
        return array(words.map { number($0) })
    }

    /// An object without properties, kept until the context ends.
    func object() -> JSObjectRef? {
        let object = JSObjectMake(reference, nil, nil)
        keep(object)
        return object
    }

    /// A property's value; `nil` when there is none or reading it throws.
    func property(_ name: String, of object: Value?) -> Value? {
        guard let object, JSValueIsObject(reference, object) else { return nil }
        var exception: Value?
        let name = ScriptString(name)
        let value = withExtendedLifetime(name) {
            JSObjectGetProperty(reference, object, name.reference, &exception)
        }
        return exception == nil ? value : nil
    }

    /// A string's text; `nil` for other values.
    func text(_ value: Value?) -> String? {
        guard let value, JSValueIsString(reference, value) else { return nil }
        return ScriptString(of: value, in: self)?.text
    }

    /// A number without its fraction; `nil` for other values and those out of range.
    func integer<Integer: FixedWidthInteger>(_ value: Value?, as type: Integer.Type = Integer.self)
        -> Integer?
    {
        guard let value, JSValueIsNumber(reference, value) else { return nil }
        return Integer(exactly: JSValueToNumber(reference, value, nil).rounded(.towardZero))
    }

    func set(_ name: String, _ value: Value?, of object: JSObjectRef?) {
        let name = ScriptString(name)
        withExtendedLifetime(name) { JSObjectSetProperty(reference, object, name.reference, value, 0, nil) }
    }

    /// Any value's text.
    func description(of value: Value) -> String {
        ScriptString(of: value, in: self)?.text ?? "a value without text"
    }

    func isTrue(_ value: Value?) -> Bool { value.map { JSValueToBoolean(reference, $0) } ?? false }

    /// A `Float64Array` over the numbers of the page that the node reads, which outlives the context.
    func numbers(of page: PlacePage) -> JSObjectRef? {
        let array = JSObjectMakeTypedArrayWithBytesNoCopy(
            reference,
            kJSTypedArrayTypeFloat64Array,
            page.numbers.baseAddress,
            page.numbers.count * MemoryLayout<Double>.size,
            nil,
            nil,
            nil
        )
        keep(array)
        return array
    }

    /// What is called with a promise that was rejected and its reason, when nothing took the reason.
    func onUnhandledRejection(_ function: Value?) {
        tellsRejections = true
        JSGlobalContextSetUnhandledRejectionCallback(reference, function, nil)
    }

    /// Takes the place of what a context calls: the context holds that, and that the context, so that neither would ever be
    /// collected.
    nonisolated(unsafe) private static let nobody = {
        let function = outside.function { context, _ in context.undefined }
        outside.keep(function)
        return function
    }()
    nonisolated(unsafe) private static let outside = ScriptContext()

    /// Where a typed array's elements lie; as long as it is reachable they stay there.
    func elements<Element>(of array: Value?, as type: Element.Type) -> UnsafeMutableBufferPointer<Element> {
        let start = JSObjectGetTypedArrayBytesPtr(reference, array, nil)
        let count = JSObjectGetTypedArrayByteLength(reference, array, nil) / MemoryLayout<Element>.size
        return UnsafeMutableBufferPointer(
            start: start?.assumingMemoryBound(to: type),
            count: start == nil ? 0 : count
        )
    }
}

// MARK: - Native functions

/// What a native function gets and gives.
typealias NativeBody = (ScriptContext, [JSValueRef?]) -> JSValueRef?

/// A function of this program that JavaScript can call.
private final class NativeFunction {
    unowned let context: ScriptContext
    let body: NativeBody

    init(_ context: ScriptContext, _ body: @escaping NativeBody) {
        self.context = context
        self.body = body
    }
}

nonisolated(unsafe) private let nativeClass: JSClassRef? = make_function_class(callNative)

private func callNative(
    _ context: JSContextRef?,
    _ function: JSObjectRef?,
    _ receiver: JSObjectRef?,
    _ count: Int,
    _ arguments: UnsafePointer<JSValueRef?>?,
    _ exception: UnsafeMutablePointer<JSValueRef?>?
) -> JSValueRef? {
    guard let pointer = JSObjectGetPrivate(function) else { return JSValueMakeUndefined(context) }
    let native = Unmanaged<NativeFunction>.fromOpaque(pointer).takeUnretainedValue()
    let values = Array(UnsafeBufferPointer(start: arguments, count: count))
    return native.body(native.context, values) ?? JSValueMakeUndefined(context)
}

extension ScriptContext {
    /// A function that calls `body`, which must not call a method of a context that throws out of it.
    func function(_ body: @escaping NativeBody) -> JSObjectRef? {
        let native = NativeFunction(self, body)
        natives.append(native)
        return JSObjectMake(reference, nativeClass, Unmanaged.passUnretained(native).toOpaque())
    }
}
