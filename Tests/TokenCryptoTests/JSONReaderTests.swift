import Testing
import TokenCrypto

/// The reader against RFC 8259, in the shape `{"text": string, "number": integer, "list": [integer…]}`.
@Suite("Reading JSON")
struct JSONReaderTests {
    struct Document: Equatable {
        var text: String?
        var number: Int64?
        var list: [Int64]?
    }

    private func read(_ json: [UInt8]) throws -> Document {
        try json.withUnsafeBytes { view in
            var reader = JSONReader(view)
            var document = Document()
            try reader.beginObject()
            while let name = try reader.nextMember() {
                if name == "text" {
                    document.text = String(decoding: try reader.string().bytes, as: UTF8.self)
                } else if name == "number" {
                    document.number = try reader.integer()
                } else if name == "list" {
                    document.list = []
                    try reader.beginArray()
                    while try reader.nextElement() { document.list?.append(try reader.integer()) }
                } else {
                    throw reader.error(.unknownMember)
                }
            }
            try reader.end()
            return document
        }
    }

    private func read(_ json: String) throws -> Document { try read(Array(json.utf8)) }

    @Test(
        "what JSON allows is read",
        arguments: [
            ("{}", Document()), (" { } ", Document()), ("{\"number\":0}", Document(number: 0)),
            ("{\"text\":\"\"}", Document(text: "")), ("{\"list\":[]}", Document(list: [])),
            (
                "\t{\r\n\"list\" : [ 1 , 2,3 ] ,\"number\": 9007199254740991 }\n",
                Document(number: 9_007_199_254_740_991, list: [1, 2, 3])
            ),
            ("{\"text\":\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", Document(text: "a\"\\/\u{8}\u{c}\n\r\t")),
            ("{\"text\":\"\\u0041\\u00e4\\u20AC\\ud83c\\udf4f\\u0000\"}", Document(text: "Aä€🍏\0")),
            ("{\"text\":\"ä€🍏\u{7f}\"}", Document(text: "ä€🍏\u{7f}")),
            ("{\"te\\u0078t\":\"x\"}", Document(text: "x")),
            ("{\"list\":[1],\"text\":\"}\"}", Document(text: "}", list: [1])),
        ])
    func allowed(json: String, expected: Document) throws {
        #expect(try read(json) == expected)
    }

    @Test(
        "what JSON does not allow, or this shape does not have, is refused",
        arguments: [
            "", " ", "{", "}", "[]", "null", "{,}", "{\"number\":1,}", "{,\"number\":1}",
            "{\"number\":1 \"text\":\"\"}",
            "{\"number\":1,,\"text\":\"\"}", "{\"number\" 1}", "{\"number\"}", "{\"number\":}", "{number:1}",
            "{'number':1}",
            "{\"number\":1}}", "{\"number\":1}{}", "{\"number\":1}x", "{\"list\":[1,]}", "{\"list\":[,1]}",
            "{\"list\":[1 2]}",
            "{\"list\":[1}", "{\"list\":1]}", "{\"list\":{}}", "{\"number\":[]}", "{\"number\":\"1\"}", "{\"text\":1}",
            "{\"text\":null}", "{\"number\":true}", "{\"number\":-1}", "{\"number\":-0}", "{\"number\":+1}",
            "{\"number\":01}",
            "{\"number\":1.0}", "{\"number\":1e3}", "{\"number\":1E3}", "{\"number\":.5}",
            "{\"number\":9007199254740992}",
            "{\"number\":99999999999999999999999}", "{\"number\":0x1}", "{\"number\":1_0}", "{\"text\":\"}",
            "{\"text\":\"\\\"}",
            "{\"text\":\"\\x41\"}", "{\"text\":\"\\u41\"}", "{\"text\":\"\\u00g0\"}", "{\"text\":\"\\u\"}",
            "{\"text\":\"\\ud83c\"}",
            "{\"text\":\"\\udf4f\"}", "{\"text\":\"\\ud83c\\u0041\"}", "{\"text\":\"\\ud83cx\"}", "{\"text\":\"\n\"}",
            "{\"text\":\"\t\"}", "{\"text\":\"\0\"}", "{\"other\":1}", "{\"\":1}", "// no\n{}", "{}/**/", "\u{feff}{}",
            "{\u{a0}}",
            "{\"text\":\"\\", "{\"text\":\"\\u004", "{\"text\":\"\\ud83c\\", "{\"text\":\"\\ud83c\\u",
        ])
    func refused(json: String) {
        #expect(throws: JSONError.self) { try read(json) }
    }

    @Test(
        "a string that is not UTF-8 is refused, with and without escapes",
        arguments: [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xe2, 0x82], [0x80]]
            as [[UInt8]])
    func notUTF8(text: [UInt8]) {
        #expect(throws: JSONError.self) { try read(Array("{\"text\":\"".utf8) + text + Array("\"}".utf8)) }
        #expect(throws: JSONError.self) { try read(Array("{\"text\":\"\\n".utf8) + text + Array("\"}".utf8)) }
    }

    @Test("every cut of a document is refused")
    func cutDocuments() {
        let json = Array("{\"text\":\"\\u0041ä\\n\",\"number\":12,\"list\":[1,2]}".utf8)
        for count in 0..<json.count { #expect(throws: JSONError.self) { try read(Array(json[..<count])) } }
    }

    @Test("an error says what and where, and nothing of the text")
    func errors() throws {
        let error = #expect(throws: JSONError.self) { try read("{\"number\":-7777}") }
        #expect(error == JSONError(problem: .number, offset: 10))
        #expect("\(error.map(String.init(describing:)) ?? "")" == "not a whole number from 0 to 2^53-1, at byte 10")
    }

    @Test("text that is written is read back")
    func writtenText() throws {
        for text in ["", "plain", "\"\\/\u{1}\u{1f}\u{7f}", "ä🍏\n"] {
            let json = Array("{\"text\":".utf8) + jsonString(text.utf8) + Array("}".utf8)
            #expect(try read(json) == Document(text: text))
        }
    }
}
