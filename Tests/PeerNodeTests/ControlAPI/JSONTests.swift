import PeerNode
import Testing

@testable import PeerNode

@Suite("JSON") struct JSONTests {
    @Test(
        "a text comes back as it was",
        arguments: [
            #"{"a":1,"b":[true,false,null],"c":"é\u0000"}"#, "[]", "{}", #""x""#, "-9223372036854775808",
            "[[[]]]",
        ]
    )
    func roundTrip(text: String) throws {
        let value = try JSON(parsing: Array(text.utf8), byteLimit: 1_000)
        #expect(try JSON(parsing: value.encoded, byteLimit: 1_000) == value)
    }

    @Test("control characters are escapes, so that a terminal may see the text") func controlCharacters()
        throws
    {
        let text = "\u{1}\n\u{1b}[m\u{7f}\u{80}\u{9f}\u{a0}é€"
        let value: JSON = .object([JSON.Member("\u{9b}", .string(text))])
        #expect(
            String(decoding: value.encoded, as: UTF8.self)
                == "{\"\\u009B\":\"\\u0001\\n\\u001B[m\\u007F\\u0080\\u009F\u{a0}é€\"}"
        )
        #expect(try JSON(parsing: value.encoded, byteLimit: 1_000) == value)
        #expect(try JSON(parsing: Array(value.pretty.utf8), byteLimit: 1_000) == value)
    }

    @Test("members keep their order") func order() {
        let value: JSON = ["z": 1, "a": 2]
        #expect(String(decoding: value.encoded, as: UTF8.self) == #"{"z":1,"a":2}"#)
    }

    @Test("refused texts", arguments: ["", "{", "[1,]", #"{"a":1,"a":2}"#, "1 2", "nul", "\"\u{1}\""])
    func malformed(text: String) {
        #expect(throws: JSONFault.self) { try JSON(parsing: Array(text.utf8), byteLimit: 1_000) }
    }

    @Test("too deep and too long are refused") func bounds() {
        let deep =
            Array(repeating: UInt8(ascii: "["), count: 66) + Array(repeating: UInt8(ascii: "]"), count: 66)
        #expect(throws: JSONFault.tooDeep(limit: 64)) { try JSON(parsing: deep, byteLimit: 1_000) }
        #expect(throws: JSONFault.tooLong(byteCount: 3, limit: 2)) {
            try JSON(parsing: [49, 49, 49], byteLimit: 2)
        }
    }
}
